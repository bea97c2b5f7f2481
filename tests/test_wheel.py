"""The wheel: the product alone, all of it, and it runs where the source tree is not."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args

import pytest

from styleid_ray.config import DatasetFormat
from tests.test_package import table_of_places

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "styleid_ray"

NOT_IMPORTED = {
    "accelerate": "diffusers loads weights with it",
    "peft": "diffusers adds LoRA weights with it",
    "s3fs": "fsspec opens s3:// with it",
    "torchmetrics": "has the file of LPIPS' linear layers",
}
COMES_WITH = {"markupsafe": "jinja2", "requests": "ray"}


def installed(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that sees no package of the source tree."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves files in the tree, and takes up old ones from there."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("styleid_ray", "benchmarks", "demo_model", "jobs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    made = installed(
        sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, folder, cwd=folder
    )
    assert made.returncode == 0, made.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bin(wheel: Path) -> Path:
    """Programs of an environment with the wheel and, beside it, the dependencies of this one."""
    folder = wheel.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    # Lines of a .pth file add folders, but run no .pth file of those: so no editable install.
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install")
    made = installed(*pip, "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / "bin"


def test_every_file_of_the_package_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(wheel.parent).as_posix()
        for path in (wheel.parent / "styleid_ray").rglob("*")
        if path.is_file()
    }
    assert packed == files


def test_its_folders_and_modules_are_those_of_the_architecture_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.split("/")[1] for name in archive.namelist() if "dist-info" not in name}
    assert inside - {"__init__.py", "py.typed"} == {
        name if (PACKAGE / name).is_dir() else f"{name}.py"
        for name in table_of_places()
        if name != "__init__"
    }


def test_it_is_small_beside_the_embedded_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
    demo = sum(size for name, size in sizes.items() if name.startswith("styleid_ray/demo/"))
    assert demo < 23_500_000
    assert sum(sizes.values()) - demo < 600_000


def test_the_installed_command_plans_a_run_with_the_pictures_that_it_brings(
    bin: Path, tmp_path: Path
) -> None:
    where = installed(
        bin / "python", "-c", "import styleid_ray; print(styleid_ray.__path__[0])", cwd=tmp_path
    )
    package = Path(where.stdout.strip())
    assert package.is_relative_to(bin.parent)
    inputs = package / "demo" / "inputs"
    plan = installed(
        *(bin / "styleid-ray", "plan", "--method", "reinhard", "--output", tmp_path / "out"),
        *("--content", inputs / "content", "--style", inputs / "style"),
        cwd=tmp_path,
    )
    assert plan.returncode == 0, plan.stderr
    assert re.search(r"pairs +12\b", plan.stdout)


def imports(file: Path) -> Iterator[str]:
    """Modules that a file names: in imports, or as text for a lazy one."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("styleid_ray."):
            yield str(node.value)


def modules() -> dict[str, Path]:
    """Files of the package by module."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }


def reached(starts: set[str], files: Mapping[str, Path]) -> set[str]:
    """Modules that these import, directly or not, and the packages that they are in."""
    seen: set[str] = set()
    while starts:
        seen |= starts
        named = {
            name for start in starts for name in (start.rpartition(".")[0], *imports(files[start]))
        }
        starts = named & files.keys() - seen
    return seen


def test_every_module_is_used_by_the_command_line_or_the_public_names() -> None:
    files = modules()
    programs = {
        name for name, file in files.items() if '__name__ == "__main__"' in file.read_text()
    }
    formats = {f"styleid_ray.datasets.{name}" for name in get_args(DatasetFormat)} & files.keys()
    used = reached({"styleid_ray"} | programs | formats, files)
    assert not sorted(files.keys() - used)


def test_the_dependencies_are_what_the_package_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required = {normalised(line) for line in project["dependencies"]}
    optional = {normalised(line) for name in extras.keys() - {"dev"} for line in extras[name]}
    ours = {"styleid_ray", *sys.stdlib_module_names}
    names = {name.partition(".")[0] for file in modules().values() for name in imports(file)} - ours
    providers = packages_distributions()
    imported = {
        normalised(COMES_WITH.get(name) or next(iter(providers.get(name, [name]))))
        for name in names
    }
    assert required - set(NOT_IMPORTED) <= imported <= required | optional
    assert set(NOT_IMPORTED) <= required


def normalised(requirement: str) -> str:
    """Name of a distribution as registries compare it, without extras and versions."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
