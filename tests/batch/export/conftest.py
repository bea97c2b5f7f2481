"""Runs on small datasets, and the export of a run."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.export.job import Export, ExportOptions, export
from styleid_ray.batch.run import stylize
from tests.batch.conftest import draw, local_ray

__all__ = ["local_ray"]


class Run:
    """A run that can be exported again and again."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder, self.options = folder, options
        self.output = str(options.get("output") or folder / "run")
        self.said = io.StringIO()

    def stylize(self, **more: Any) -> Run:
        """Makes the pairs that are missing."""
        stylize(JobConfig(**{**self.options, "output": self.output, **more}), self.said)
        return self

    def export(self, format: Any, to: str | Path = "", **more: Any) -> Export:
        """Exports it to a folder below its own."""
        self.to = Path(to or self.folder / f"as-{format}")
        options = ExportOptions(self.output, str(to or self.to), format, **more)
        return export(options, self.said)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Callable[..., Run]:
    """A finished run of a dataset with two styles; keyword arguments are options of the job."""

    def make(content: str | Path, **options: Any) -> Run:
        folder = tmp_path_factory.mktemp("export")
        for seed, name in enumerate("st"):
            draw(folder / "style" / f"{name}.png", seed)
        defaults: dict[str, Any] = {
            "content": str(content),
            "style": str(folder / "style"),
            "model": "demo",
            "size": 64,
            "steps": 2,
            "picture_format": "jpeg",
        }
        return Run(folder, **{**defaults, **options}).stylize()

    return make
