"""What holds for the package as a whole: light imports, one direction, documents that are true."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from styleid_ray.config import JobConfig
from styleid_ray.optiontable import option_table

ROOT = Path(__file__).parent.parent


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import styleid_ray", {"torch", "ray", "diffusers", "pyarrow"}),
        ("import styleid_ray.cli", {"torch", "ray", "diffusers"}),
        ("import styleid_ray.engine.pipeline, styleid_ray.model.loading", {"ray"}),
        ("import styleid_ray.model.checkpoint", {"torch", "ray"}),
        ("import styleid_ray.planning", {"torch", "ray"}),
        ("import styleid_ray.datasets.formats, styleid_ray.datasets.hub", {"torch", "ray"}),
        ("import styleid_ray.quality.rule", {"torch", "ray", "pyarrow"}),
        ("import styleid_ray.imaging", {"torch", "ray"}),
        ("import styleid_ray.demo", {"torch", "ray", "PIL"}),
        ("import styleid_ray.report", {"torch", "ray"}),
        ("import styleid_ray.preview.write", {"torch", "ray"}),
        ("import styleid_ray.analysis.write", {"torch", "ray", "matplotlib"}),
        ("import styleid_ray.batch.run, styleid_ray.batch.folder.status", {"torch", "ray"}),
        ("import styleid_ray.batch.export.job", {"torch", "ray"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(statement: str, absent: set[str]) -> None:
    assert not loaded_after(statement) & absent


LAYERS = (
    {"__init__", "cli", "optiontable"},
    {"demo"},
    {"analysis", "report"},
    {"evaluation", "preview"},
    {"batch"},
    {"engine", "planning"},
    {"datasets", "model"},
    {"imaging", "jobfile", "submit", "unexpected"},
    {"methods", "storage"},
    {"config"},
    {"controls", "quality"},
    {"errors"},
)
"""Folders and modules of the package; each may import what is in a later layer."""


def imported_from(file: Path) -> Iterator[str]:
    """Folders and modules of the package that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from (name.split(".")[1] for name in names if name.startswith("styleid_ray."))


def test_imports_point_one_way() -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = []
    for file in sorted((ROOT / "styleid_ray").rglob("*.py")):
        home = file.relative_to(ROOT / "styleid_ray").parts[0].removesuffix(".py")
        others = {name for name in imported_from(file) if name != home}
        wrong += [f"{file}: {name}" for name in others if layer[name] <= layer[home]]
    assert not wrong


def test_the_public_names_are_there_and_others_are_not() -> None:
    import styleid_ray

    for name in styleid_ray.__all__:
        assert getattr(styleid_ray, name)
    with pytest.raises(AttributeError, match="nonsense"):
        styleid_ray.nonsense  # noqa: B018


def test_the_readme_has_the_table_of_options_as_the_configuration_defines_it() -> None:
    table = option_table()
    assert table in (ROOT / "README.md").read_text()
    options = [name.replace("_", "-") for name in JobConfig.model_fields]
    assert not [name for name in options if f"| `--{name}` |" not in table]


def test_every_folder_of_the_package_is_in_the_architecture_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    folders = [p.parent.name for p in (ROOT / "styleid_ray").glob("*/__init__.py")]
    assert folders
    assert not [name for name in folders if f"{name}/" not in page]
