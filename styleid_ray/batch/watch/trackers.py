"""Experiment trackers (`--log-to`): the driver logs numbers of a run and grids of its pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

_PROJECT = "styleid-ray"
_SAMPLES = "samples"


class Tracker(Protocol):
    """A run of an experiment tracker."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Logs numbers by name at a step: the pairs finished so far."""
        ...

    def show(self, grid: Image, step: int) -> None:
        """Logs a picture."""
        ...

    def close(self) -> None:
        """Ends the run."""
        ...


class Wandb:
    """Weights & Biases, set up by its own environment variables (`WANDB_PROJECT`, ...)."""

    def __init__(self, name: str, options: Mapping[str, Any], output: Output) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        project = os.environ.get("WANDB_PROJECT", _PROJECT)
        self.picture = wandb.Image
        self.run = wandb.init(project=project, name=name, config=dict(options))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def show(self, grid: Image, step: int) -> None:
        self.run.log({_SAMPLES: self.picture(grid)}, step=step)

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """MLflow, set up by its own environment variables (`MLFLOW_TRACKING_URI`, ...)."""

    def __init__(self, name: str, options: Mapping[str, Any], output: Output) -> None:
        import mlflow  # pyright: ignore[reportMissingImports]

        self.mlflow = mlflow
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
            mlflow.set_experiment(_PROJECT)
        mlflow.start_run(run_name=name)
        mlflow.log_params(dict(options))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.mlflow.log_metrics(dict(values), step=step)

    def show(self, grid: Image, step: int) -> None:
        self.mlflow.log_image(grid, artifact_file=f"{_SAMPLES}/{step:09d}.png")

    def close(self) -> None:
        self.mlflow.end_run()


class TensorBoard:
    """Event files in the run's `_run/tensorboard`, for `tensorboard --logdir`."""

    def __init__(self, name: str, options: Mapping[str, Any], output: Output) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # pyright: ignore

        if not output.is_local:
            raise ConfigError("it writes files beside the run, and --output is no local folder")
        self.event, self.summary = Event, Summary
        self.writer = EventFileWriter(output.path("_run/tensorboard"), flush_secs=10)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._add([self.summary.Value(tag=n, simple_value=x) for n, x in values.items()], step)

    def show(self, grid: Image, step: int) -> None:
        file = BytesIO()
        grid.save(file, "PNG")
        picture = self.summary.Image(
            height=grid.height, width=grid.width, colorspace=3, encoded_image_string=file.getvalue()
        )
        self._add([self.summary.Value(tag=_SAMPLES, image=picture)], step)

    def close(self) -> None:
        self.writer.close()

    def _add(self, values: Sequence[Any], step: int) -> None:
        summary = self.summary(value=values)
        self.writer.add_event(self.event(wall_time=time.time(), step=step, summary=summary))


TRACKERS: dict[str, Callable[[str, Mapping[str, Any], Output], Tracker]] = {
    "wandb": Wandb,
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
}
"""By the name of the option's value, the package and the extra."""


def check_trackers(names: Collection[str]) -> None:
    """Raises ConfigError for a tracker whose package is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--log-to {missing[0]} needs its package: pip install {' '.join(missing)}"
        )


class Trackers:
    """The trackers of a run. One that fails is named in a note and logged to no more.

    Rates are those of this session from its first shard on.

    Args:
        trackers: by name.
        output: of the run.
        progress: of the run.
        every: shards from one grid of samples to the next; 0 for none.
    """

    def __init__(
        self, trackers: dict[str, Tracker], output: Output, progress: Progress, every: int
    ) -> None:
        self.trackers, self.output, self.progress, self.every = trackers, output, progress, every
        self._first: tuple[float, float] | None = None

    @classmethod
    def of(cls, config: JobConfig, output: Output, progress: Progress) -> Trackers:
        """The trackers that a job asks for.

        Raises:
            ConfigError: one does not start.
        """
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
        """A shard was committed.

        Args:
            shard: its name.
            measures: of this session so far.

        Returns:
            Notes on trackers that failed.
        """
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
            from styleid_ray.batch.watch.samples import sample_grid

            grid = sample_grid(self.output, shard)
        return self._each(lambda tracker: _log(tracker, values, grid, step))

    def close(self) -> None:
        """Ends their runs."""
        self._each(lambda tracker: tracker.close())

    def _each(self, work: Callable[[Tracker], None]) -> list[str]:
        notes: list[str] = []
        for name, tracker in [*self.trackers.items()]:
            try:
                work(tracker)
            except Exception as e:  # each package has its own; the run does not depend on it
                del self.trackers[name]
                notes.append(f"--log-to {name} failed and is left out: {first_line(e)}")
        return notes


def _log(tracker: Tracker, values: Mapping[str, float], grid: Image | None, step: int) -> None:
    tracker.log(values, step)
    if grid is not None:
        tracker.show(grid, step)
