"""What holds for the package as a whole: light imports, one direction, documents that are true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

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
        # A transfer of colours starts without the seconds that these take.
        ("import styleid_ray.batch.stages.device", {"diffusers", "transformers"}),
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


class Place(NamedTuple):
    """A folder or module of the package, as the table of docs/architecture.md has it."""

    layer: int
    libraries: set[str]


def table_of_places() -> dict[str, Place]:
    """The places of the table by their names without `.py`."""
    rows = re.findall(
        r"^\| (\d+) \| `(\w+)(?:/|\.py)` \| .* \| *(.*?) *\|$",
        (ROOT / "docs" / "architecture.md").read_text(),
        re.MULTILINE,
    )
    return {
        name: Place(int(layer), set(re.findall(r"`(\w+)`", libraries)))
        for layer, name, libraries in rows
    }


@cache
def imports_by_place() -> list[tuple[Path, str, str]]:
    """File, place and full name of everything that the package imports, anywhere in a module."""
    imports = []
    for file in sorted((ROOT / "styleid_ray").rglob("*.py")):
        place = file.relative_to(ROOT / "styleid_ray").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imports += [(file, place, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                imports.append((file, place, node.module))
    return imports


def test_imports_point_down_in_the_table_of_the_architecture_page() -> None:
    layers = {place: row.layer for place, row in table_of_places().items()}
    inside = [
        (file, place, name.split(".")[1])
        for file, place, name in imports_by_place()
        if name.startswith("styleid_ray.")
    ]
    assert not [
        f"{file}: {name}"
        for file, place, name in inside
        if name != place and layers.get(name, 0) <= layers.get(place, 0)
    ]


def test_the_architecture_page_lists_every_place_with_the_libraries_that_it_imports() -> None:
    imported: dict[str, set[str]] = {}
    for _, place, name in imports_by_place():
        imported.setdefault(place, set()).add(name.partition(".")[0])
    ours = {"styleid_ray", *sys.stdlib_module_names}
    listed = {place: row.libraries for place, row in table_of_places().items()}
    assert {place: names - ours for place, names in imported.items()} == listed


def test_the_public_names_are_there_and_others_are_not() -> None:
    import styleid_ray

    for name in styleid_ray.__all__:
        assert getattr(styleid_ray, name)
        assert name in dir(styleid_ray)
    with pytest.raises(AttributeError, match="nonsense"):
        styleid_ray.nonsense  # noqa: B018
