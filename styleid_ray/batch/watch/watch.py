"""All displays of a run in progress: the screen, metrics, the progress file and trackers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.limits import Limits
from styleid_ray.batch.stages.shard import Done
from styleid_ray.batch.watch.board import View
from styleid_ray.batch.watch.live import Live
from styleid_ray.batch.watch.metrics import RunMetrics
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.batch.watch.trackers import Trackers
from styleid_ray.config import JobConfig

_GIB = 2**30


@dataclass
class Watch:
    """Receives a run's committed shards, and the board's views in between."""

    progress: Progress
    limits: Limits
    metrics: RunMetrics
    live: Live
    trackers: Trackers
    measures: Counter[str] = field(default_factory=Counter)
    """Measures of all committed shards, as `add_measures` sums them."""

    def add(self, done: Done) -> None:
        """Adds a committed shard."""
        self.progress.add(int(done.measures["done"]), int(done.measures["failed"]))
        self.progress.say(done.notes)
        self.metrics.committed.add(done.measures)
        self.metrics.show()
        add_measures(self.measures, done.measures)
        self.measures["shards"] += 1
        self.progress.say(self.trackers.add(done.shard, self.measures))

    def see(self, view: View) -> None:
        """Shows the current state of the board."""
        self.limits.see(view)  # before anything that can fail
        self.progress.make(sum(view.made.values()))
        self.progress.evaluations = view.evaluations
        self.progress.say(f"excluded: {reason}" for reason in view.sick.values())
        self.progress.machines = machines(view)
        self.metrics.device_failures = view.failures
        self.metrics.show()
        self.live.show()


@contextmanager
def watching(
    config: JobConfig, output: Output, progress: Progress, limits: Limits, stream: TextIO
) -> Iterator[Watch]:
    """Shows the run during the block: on the stream, in metrics, in its output and in trackers."""
    with (
        closing(Trackers.of(config, output, progress)) as trackers,
        closing(Live(output, progress)) as live,
        shown(progress, stream),
    ):
        yield Watch(progress, limits, RunMetrics(output.url, progress), live, trackers)


def machines(view: View) -> str:
    """Actors and the fullest GPU in words."""
    words = f"{view.busy} of {view.actors} actors busy"
    if view.gpu_memory:
        used, total = (bytes / _GIB for bytes in view.gpu_memory)
        words += f" · {used:.1f} of {total:.1f} GiB GPU memory"
    return words


def add_measures(total: Counter[str], shard: Mapping[str, float]) -> None:
    """Adds a shard's measures to those of the run: `peak_...` by maximum, others by sum."""
    for name, value in shard.items():
        known: float = total[name]
        both = max(known, value) if name.startswith("peak_") else known + value
        total[name] = both  # pyright: ignore[reportArgumentType]


def of_actors(total: Mapping[str, float], gpus_per_actor: float) -> dict[str, float]:
    """Measures of a run's actors: `gpu_hours` for which they held their GPUs; `busy_share`, the
    share in [0, 1] of the time from their first step to their last in which the model ran; and
    `actor_rate`, the UNet evaluations per second of one actor in that time."""
    busy = total.get("stylize_seconds", 0.0)
    if not busy:
        return {}
    seconds = busy + total["waiting_seconds"]
    return {
        "gpu_hours": round(total["actor_seconds"] * gpus_per_actor / 3600, 4),
        "busy_share": round(busy / seconds, 4),
        "actor_rate": round(total.get("unet_evaluations", 0) / seconds, 4),
    }
