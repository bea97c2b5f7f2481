"""Experiment trackers (`--log-to`): the driver logs numbers and sample grids of a run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, OutputError, RowError, first_line
from styleid_ray.imaging.decode import thumbnail

_COLUMNS, _MOST, _SIDE = 4, 8, 192
"""Pictures per row of a grid and in all, and their side in pixels."""
_PROJECT = "styleid-ray"
_SAMPLES = "samples"


@dataclass(frozen=True)
class Tracker:
    """A run of an experiment tracker. A step is the number of pairs finished so far."""

    log: Callable[[Mapping[str, float], int], object]
    """Logs numbers by name at a step."""
    show: Callable[[Image.Image, int], object]
    """Logs a picture at a step."""
    close: Callable[[], object]


def _wandb(name: str, options: Mapping[str, Any], output: Output) -> Tracker:
    """Weights & Biases, set up by its own environment variables (`WANDB_PROJECT`, ...)."""
    import wandb  # pyright: ignore[reportMissingImports]

    project = os.environ.get("WANDB_PROJECT", _PROJECT)
    run = wandb.init(project=project, name=name, config=dict(options))
    return Tracker(
        log=lambda values, step: run.log(dict(values), step=step),
        show=lambda grid, step: run.log({_SAMPLES: wandb.Image(grid)}, step=step),
        close=run.finish,
    )


def _mlflow(name: str, options: Mapping[str, Any], output: Output) -> Tracker:
    """MLflow, set up by its own environment variables (`MLFLOW_TRACKING_URI`, ...)."""
    import mlflow  # pyright: ignore[reportMissingImports]

    if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
        mlflow.set_experiment(_PROJECT)
    mlflow.start_run(run_name=name)
    mlflow.log_params(dict(options))
    return Tracker(
        log=lambda values, step: mlflow.log_metrics(dict(values), step=step),
        show=lambda grid, step: mlflow.log_image(grid, artifact_file=f"{_SAMPLES}/{step:09d}.png"),
        close=mlflow.end_run,
    )


def _tensorboard(name: str, options: Mapping[str, Any], output: Output) -> Tracker:
    """Event files in the run's `_run/tensorboard`, for `tensorboard --logdir`."""
    if not output.is_local:
        raise ConfigError("it writes files beside the run, and --output is no local folder")
    from torch.utils.tensorboard.writer import SummaryWriter

    writer = SummaryWriter(output.path("_run/tensorboard"), flush_secs=10)

    def log(values: Mapping[str, float], step: int) -> None:
        for tag, value in values.items():
            writer.add_scalar(tag, value, step)

    def show(grid: Image.Image, step: int) -> None:
        writer.add_image(_SAMPLES, np.asarray(grid), step, dataformats="HWC")

    return Tracker(log, show, writer.close)


TRACKERS = {"wandb": _wandb, "tensorboard": _tensorboard, "mlflow": _mlflow}
"""By name: the option's value, the package and the extra."""


def check_trackers(names: Collection[str]) -> None:
    """Raises ConfigError for a tracker whose package is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--log-to {missing[0]} needs its package: pip install {' '.join(missing)}"
        )


class Trackers:
    """The trackers of a run, by name. A failing one is reported in a note and dropped.

    Rates are those of this session from its first shard on. `every` is the number of shards from
    one grid of samples to the next, 0 for no grids.
    """

    def __init__(
        self, trackers: dict[str, Tracker], output: Output, progress: Progress, every: int
    ) -> None:
        self.trackers, self.output, self.progress, self.every = trackers, output, progress, every
        self._first: tuple[float, float] | None = None

    @classmethod
    def of(cls, config: JobConfig, output: Output, progress: Progress) -> Trackers:
        """The trackers in a job's options. Raises ConfigError if one does not start."""
        begun = cls({}, output, progress, config.log_samples)
        name, options = output.url.rstrip("/").rsplit("/", 1)[-1], config.identity()
        for kind in dict.fromkeys(config.log_to):
            try:
                begun.trackers[kind] = TRACKERS[kind](name, options, output)
            except Exception as e:  # each package has its own
                begun.close()
                raise ConfigError(
                    f"--log-to {kind} does not start ({first_line(e)}): set it up, or leave it out"
                ) from e
        return begun

    def add(self, shard: str, measures: Mapping[str, float]) -> list[str]:
        """Logs a committed shard, with the measures of this session so far; returns notes on
        trackers that failed."""
        if not self.trackers:
            return []
        progress, now = self.progress, time.monotonic()
        step, evaluations = progress.done + progress.failed, measures.get("unet_evaluations", 0)
        began, before = self._first or (progress.began, 0)
        self._first = self._first or (now, evaluations)
        values = {
            "pairs_done": progress.done,
            "pairs_failed": progress.failed,
            "pairs_per_second": progress.rate,
            "unet_evaluations_per_second": (evaluations - before) / max(1e-9, now - began),
        }
        grid = None
        if self.every and (measures["shards"] - 1) % self.every == 0:
            grid = sample_grid(self.output, shard)

        def log(tracker: Tracker) -> None:
            tracker.log(values, step)
            if grid is not None:
                tracker.show(grid, step)

        return self._each(log)

    def close(self) -> None:
        """Ends their runs."""
        self._each(lambda tracker: tracker.close())

    def _each(self, work: Callable[[Tracker], object]) -> list[str]:
        notes: list[str] = []
        for name, tracker in [*self.trackers.items()]:
            try:
                work(tracker)
            except Exception as e:  # each package has its own; the run does not depend on it
                del self.trackers[name]
                notes.append(f"--log-to {name} failed and is left out: {first_line(e)}")
        return notes


def sample_grid(output: Output, shard: str) -> Image.Image | None:
    """Up to eight pictures of a shard, four per row, each at most 192 pixels wide and high.

    None for a shard without pictures or without a file of its own, such as the rows of a retry.
    """
    pictures: list[Image.Image] = []
    try:
        for row in output.parsed(data_file(shard), _first_rows):
            data = row["bytes"] if row["bytes"] is not None else output.read(row["path"])
            with suppress(RowError):
                size = row["width"] * row["height"]
                pictures.append(thumbnail(data, size, _SIDE))
    except (OutputError, FileNotFoundError, pa.ArrowInvalid):
        return None
    if not pictures:
        return None
    rows = -(-len(pictures) // _COLUMNS)
    grid = Image.new("RGB", (min(_COLUMNS, len(pictures)) * _SIDE, rows * _SIDE))
    for at, picture in enumerate(pictures):
        corner = at % _COLUMNS * _SIDE, at // _COLUMNS * _SIDE
        grid.paste(picture, corner)
    return grid


def _first_rows(file: Any) -> list[dict[str, Any]]:
    shard = pq.ParquetFile(file)
    if not shard.num_row_groups:
        return []
    rows = shard.read_row_group(0, columns=["image", "width", "height"]).slice(0, _MOST)
    return [{**row, **row["image"]} for row in rows.to_pylist()]
