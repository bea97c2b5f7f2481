"""Everything that shows a run while it goes on: the screen, the metrics, the file of progress, and
experiment trackers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.limits import Limits
from styleid_ray.batch.stages.shard import Done
from styleid_ray.batch.watch.board import View
from styleid_ray.batch.watch.live import Live
from styleid_ray.batch.watch.measures import add_measures
from styleid_ray.batch.watch.metrics import RunMetrics
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.batch.watch.trackers import Trackers
from styleid_ray.config import JobConfig

_GIB = 2**30


class Watch:
    """Takes in a run's committed shards, and the board in between; `measures` are their sum."""

    def __init__(
        self,
        progress: Progress,
        limits: Limits,
        metrics: RunMetrics,
        live: Live,
        trackers: Trackers,
    ) -> None:
        self.progress, self.limits = progress, limits
        self.metrics, self.live, self.trackers = metrics, live, trackers
        self.measures = Counter[str]()

    def add(self, done: Done) -> None:
        """A shard was committed."""
        self.progress.add(int(done.measures["done"]), int(done.measures["failed"]))
        self.progress.say(done.notes)
        self.metrics.committed.add(done.measures)
        self.metrics.show()
        add_measures(self.measures, done.measures)
        self.measures["shards"] += 1
        self.progress.say(self.trackers.add(done.shard, self.measures))

    def see(self, view: View) -> None:
        """The board as it is now."""
        self.progress.make(sum(view.made.values()))
        self.progress.say(f"left out: {reason}" for reason in view.sick.values())
        self.progress.machines = machines(view)
        self.metrics.device_failures = view.failures
        self.metrics.show()
        self.live.show()
        self.limits.see(view)


@contextmanager
def watching(
    config: JobConfig, output: Output, progress: Progress, limits: Limits, stream: TextIO
) -> Iterator[Watch]:
    """Shows the run on the stream, in its metrics, in its output and in trackers during the
    block."""
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
