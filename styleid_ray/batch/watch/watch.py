"""Everything that shows a run while it goes on: the screen, the metrics, the file of progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages.shard import Done
from styleid_ray.batch.watch.board import View
from styleid_ray.batch.watch.live import Live
from styleid_ray.batch.watch.measures import add_measures
from styleid_ray.batch.watch.metrics import RunMetrics
from styleid_ray.batch.watch.progress import Progress, shown


class Watch:
    """Takes in a run's committed shards, and the board in between; `measures` are their sum."""

    def __init__(self, progress: Progress, metrics: RunMetrics, live: Live) -> None:
        self.progress, self.metrics, self.live = progress, metrics, live
        self.measures = Counter[str]()

    def add(self, done: Done) -> None:
        """A shard was committed."""
        self.progress.add(int(done.measures["done"]), int(done.measures["failed"]))
        self.progress.say(done.notes)
        self.metrics.committed.add(done.measures)
        self.metrics.show()
        add_measures(self.measures, done.measures)
        self.measures["shards"] += 1

    def see(self, view: View) -> None:
        """The board as it is now."""
        self.progress.make(sum(view.made.values()))
        self.progress.say(f"left out: {reason}" for reason in view.sick.values())
        self.metrics.device_failures = view.failures
        self.metrics.show()
        self.live.show()


@contextmanager
def watching(output: Output, progress: Progress, stream: TextIO) -> Iterator[Watch]:
    """Shows the run on the stream, in its metrics and in its output during the block."""
    with closing(Live(output, progress)) as live, shown(progress, stream):
        yield Watch(progress, RunMetrics(output.url, progress), live)
