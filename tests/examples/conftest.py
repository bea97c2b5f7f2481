"""The scripts of examples/, and runs whose exports they train on."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.batch.export.conftest import local_ray, run_of

__all__ = ["local_ray", "run_of"]

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """A script as a module. It is no package's: another one may be installed as `examples`."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def losses(printed: str) -> list[float]:
    """The losses that a script printed, in order."""
    return [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", printed)]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a script prints; arguments are the script and those of its command line."""

    def run(script: ModuleType, *arguments: object) -> str:
        script.main([*map(str, arguments), "--device", "cpu", "--workers", "0"])
        return capsys.readouterr().out

    return run
