"""Experiment trackers: which are begun, what is logged, and what a failing one costs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.batch.watch.trackers import Trackers, check_trackers, sample_grid
from styleid_ray.errors import ConfigError


class Notebook:
    """A tracker that keeps the logged values, or fails if asked to."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.values: list[tuple[int, dict[str, float]]] = []
        self.grids: list[tuple[int, tuple[int, int]]] = []

    def log(self, values: Mapping[str, float], step: int) -> None:
        if self.fails:
            raise OSError("no route to host")
        self.values.append((step, dict(values)))

    def show(self, grid: Image.Image, step: int) -> None:
        self.grids.append((step, grid.size))

    def close(self) -> None:
        self.values.append((-1, {}))


def store(output: Output, shard: str, pictures: int, beside: bool = False) -> None:
    """A finished shard of grey pictures, in its file or beside it."""
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (90, 90, 90)).save(file, "PNG")
    rows = [
        {"bytes": None if beside else file.getvalue(), "path": f"images/{n}.png"}
        for n in range(pictures)
    ]
    for row in rows if beside else ():
        output.write(row["path"], file.getvalue())
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    sizes = {"width": pa.array([300] * pictures), "height": pa.array([200] * pictures)}
    output.write_table(f"data/{shard}.parquet", pa.table({"image": pa.array(rows, kind), **sizes}))


def test_a_tracker_without_its_package_is_one_line_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("styleid_ray.batch.watch.trackers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--log-to wandb .* pip install wandb mlflow"):
        check_trackers(["wandb", "mlflow"])
    check_trackers([])


def test_every_shard_is_logged_and_every_second_one_with_a_grid_of_its_pictures(
    tmp_path: Path,
) -> None:
    output, progress, book = Output(str(tmp_path)), Progress(12, 0, 0), Notebook()
    trackers = Trackers({"book": book}, output, progress, every=2)
    for number in (1, 2, 3):
        store(output, f"s{number}", 5)
        progress.add(3, 1)
        measures = {"shards": number, "unet_evaluations": 100.0 * number}
        assert trackers.add(f"s{number}", measures) == []
    trackers.close()
    assert [step for step, _ in book.values] == [4, 8, 12, -1]
    _, values = book.values[2]
    assert (values["pairs_done"], values["pairs_failed"]) == (9, 3)
    assert values["unet_evaluations_per_second"] > 0
    assert book.grids == [(4, (4 * 192, 2 * 192)), (12, (4 * 192, 2 * 192))]


def test_a_failing_tracker_is_reported_once_and_the_others_continue(tmp_path: Path) -> None:
    good = Notebook()
    trackers = Trackers(
        {"wandb": Notebook(fails=True), "good": good}, Output(str(tmp_path)), Progress(2, 0, 0), 0
    )
    assert trackers.add("s", {"shards": 1}) == [
        "--log-to wandb failed and is left out: no route to host"
    ]
    assert trackers.add("s", {"shards": 2}) == []
    assert len(good.values) == 2


def test_a_grid_shows_pictures_beside_the_shard_and_none_of_a_retry(
    tmp_path: Path,
) -> None:
    output = Output(str(tmp_path))
    store(output, "files", 2, beside=True)
    store(output, "empty", 0)
    grid = sample_grid(output, "files")
    assert grid
    assert grid.size == (2 * 192, 192)
    assert sample_grid(output, "empty") is None
    assert sample_grid(output, "s1 and 4 more") is None


def test_tensorboard_reads_the_numbers_and_the_grid_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import (  # pyright: ignore
        EventAccumulator,
    )

    output, progress = Output(str(tmp_path)), Progress(8, 0, 0)
    store(output, "s1", 5)
    options: dict[str, Any] = {"content": "c", "style": "s", "output": str(tmp_path)}
    trackers = Trackers.of(JobConfig(**options, log_to="tensorboard"), output, progress)
    progress.add(4, 0)
    assert trackers.add("s1", {"shards": 1, "unet_evaluations": 50.0}) == []
    trackers.close()
    events = EventAccumulator(str(tmp_path / "_run" / "tensorboard"))
    events.Reload()
    ((step, value),) = [(e.step, e.value) for e in events.Scalars("pairs_done")]
    assert (step, value) == (4, 4.0)
    (picture,) = events.Images("samples")
    assert (picture.width, picture.height) == (4 * 192, 2 * 192)


def test_tensorboard_needs_a_local_output(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"content": "c", "style": "s", "output": "memory://run"}
    with pytest.raises(ConfigError, match=r"--log-to tensorboard .*no local folder"):
        Trackers.of(
            JobConfig(**options, log_to="tensorboard"), Output("memory://run"), Progress(1, 0, 0)
        )
