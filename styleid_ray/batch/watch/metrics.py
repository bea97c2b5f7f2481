"""What a run tells Prometheus, through the metrics endpoint of each of Ray's nodes.

Every metric has a tag `run` and those that Ray adds (`WorkerId`: the process that counted). Ray
puts `ray_` before the names, and `_total` behind those of counters. Counters begin with their
process; rates and shares are left to those who ask (`deploy/grafana/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from string import printable
from urllib.parse import quote

from ray.util.metrics import Counter, Gauge

from styleid_ray.batch.watch.progress import Progress

_TAGS = ("run",)

# Each: the measure of a shard that is counted, the metric's name, what it means.
COMMITTED = (
    ("done", "styleid_pairs_done", "Pairs whose pictures were committed."),
    ("failed", "styleid_pairs_failed", "Pairs committed to errors/, with their reason."),
    ("bytes_in", "styleid_bytes_read", "Bytes of the pictures that were read."),
    ("bytes_out", "styleid_bytes_written", "Bytes of the committed dataset."),
)
"""Counted by the driver when a shard is committed: each shard once."""

STATE = (
    ("styleid_pairs_planned", "Pairs of the run's plan."),
    ("styleid_pairs_left", "Pairs that are not committed yet."),
    ("styleid_pairs_making", "Pairs made of shards that are not committed yet."),
    ("styleid_device_failures", "Failures of devices in this session."),
)
"""Set by the driver about once a second."""

STYLIZED = (
    ("pairs", "styleid_pairs_stylized", "Pairs that an actor has stylised."),
    ("unet_evaluations", "styleid_unet_evaluations", "UNet forwards, counted for each latent."),
    ("inversions", "styleid_inversions", "Pictures inverted."),
    ("inversions_reused", "styleid_inversions_reused", "Inversions there from an earlier shard."),
    ("stylize_seconds", "styleid_busy_seconds", "Seconds for which an actor's model ran."),
    ("waiting_seconds", "styleid_waiting_seconds", "Seconds between an actor's shards."),
)
"""Counted by each actor at the end of a shard; one that is done again counts again."""


class MeasureCounters:
    """Counters of a run in this process.

    Args:
        counted: (measure, name, meaning) of each.
        run: the run's name.
    """

    def __init__(self, counted: tuple[tuple[str, str, str], ...], run: str) -> None:
        self.counters = {
            measure: Counter(name, meaning, _TAGS).set_default_tags(_tags(run))
            for measure, name, meaning in counted
        }

    def add(self, measures: Mapping[str, float]) -> None:
        """Count what was measured in a shard."""
        for measure, counter in self.counters.items():
            if measures.get(measure, 0) > 0:  # Ray takes no other increments
                counter.inc(measures[measure])


class RunMetrics:
    """The driver's view of a run: its state, and counts of all that was committed."""

    def __init__(self, run: str, progress: Progress) -> None:
        self.progress = progress
        self.committed = MeasureCounters(COMMITTED, run)
        self.gauges = [
            Gauge(name, meaning, _TAGS).set_default_tags(_tags(run)) for name, meaning in STATE
        ]
        self.device_failures = 0
        self.show()

    def show(self) -> None:
        """The state as the progress has it."""
        progress = self.progress
        values = progress.planned, progress.left, progress.making, self.device_failures
        for gauge, value in zip(self.gauges, values, strict=True):
            gauge.set(value)


def _tags(run: str) -> dict[str, str]:
    """Ray takes ASCII alone; other characters are written as in URLs."""
    return {"run": quote(run, safe=printable, errors="replace")}
