"""Runs on small datasets, and the export of a run."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.begin import begin
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.export.job import export
from styleid_ray.batch.export.outcome import Export, ExportOptions
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import find_run
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.prepare import resume
from styleid_ray.batch.run import stylize
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.load import Load
from styleid_ray.batch.stages.read_plan import ReadPlan
from styleid_ray.batch.stages.shard import RESULTS, Shard
from tests.batch.conftest import draw, local_ray

__all__ = ["local_ray"]


class Run:
    """A run that can be exported again and again.

    Args:
        folder: for the run and its exports.
        real: make its pairs with the model on Ray, and not by the stages around the model alone.
        options: of the job.
    """

    def __init__(self, folder: Path, real: bool, **options: Any) -> None:
        self.folder, self.real, self.options = folder, real, options
        self.output = str(options.get("output") or folder / "run")
        self.messages = io.StringIO()

    def stylize(self, **more: Any) -> Run:
        """Makes the missing pairs."""
        config = JobConfig(**{**self.options, "output": self.output, **more})
        (stylize if self.real else without_model)(config, self.messages)
        return self

    def export(self, format: Any, to: str | Path = "", **more: Any) -> Export:
        """Exports the run, by default to a folder below its own."""
        self.to = Path(to or self.folder / f"as-{format}")
        options = ExportOptions(self.output, str(to or self.to), format, **more)
        return export(options, self.messages)


def without_model(config: JobConfig, messages: io.StringIO) -> None:
    """Plans, loads and commits as a run does; each result is the content's own pixels."""
    output = Output(config.output)
    if find_run(output, config) is None:
        begin(output, config, lambda shards: Resources(1, 1, 0, 1), messages)
    job = resume(output, config)
    read = ReadPlan(output, config.shard_pairs, 1000)
    load = Load(job.contents, job.styles, config, job.checkpoint.factor)
    commit = Commit(output, config, None)
    for entry in Tally.read(output).left():
        for shard in read.read(entry):
            loaded = load.load(shard)
            commit.commit(Shard(shard.name, shard.pairs, results=_results(loaded)))


def _results(shard: Shard) -> pa.Table:
    pictures = {(row["role"], row["key"]): row for row in shard.pictures.to_pylist()}
    rows = []
    for pair in shard.pairs.select(["content", "style"]).to_pylist():
        both = [pictures[role, pair[role]] for role in ("content", "style")]
        row = next((one for one in both if one["pixels"] is None), both[0])
        rows.append({name: row.get(name) for name in RESULTS.names} | {"seconds": 0.0})
    return pa.Table.from_pylist(rows, schema=RESULTS)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Callable[..., Run]:
    """A finished run of a dataset with two styles; keyword arguments are options of the job."""

    def make(content: str | Path, real: bool = False, **options: Any) -> Run:
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
        return Run(folder, real, **{**defaults, **options}).stylize()

    return make
