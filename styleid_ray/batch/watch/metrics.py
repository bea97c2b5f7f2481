"""Metrics of a run for Prometheus, at the metrics endpoint of each of Ray's nodes.

Every metric has a tag `run` and the tags that Ray adds (`WorkerId`: the process that counted). Ray
prefixes names with `ray_` and appends `_total` to counters. Counters begin with their process;
rates and shares are left to queries (`deploy/grafana/`).
"""

from collections.abc import Mapping
from string import printable
from urllib.parse import quote

from ray.util.metrics import Counter, Gauge

from styleid_ray.batch.watch.progress import Progress

_TAGS = ("run",)

# (measure of a shard, metric, meaning)
COMMITTED = (
    ("done", "styleid_pairs_done", "Pairs whose pictures were committed."),
    ("failed", "styleid_pairs_failed", "Pairs committed to errors/, with their reason."),
    ("bytes_in", "styleid_bytes_read", "Bytes of the pictures that were read."),
    ("bytes_out", "styleid_bytes_written", "Bytes of the committed dataset."),
)
"""Counted by the driver when a shard is committed, once per shard."""

STATE = (
    ("styleid_pairs_planned", "Pairs of the run's plan."),
    ("styleid_pairs_left", "Pairs that are not committed yet."),
    ("styleid_pairs_making", "Pairs made of shards that are not committed yet."),
    ("styleid_device_failures", "Failures of devices in this session."),
)
"""Set by the driver about once per second."""

STYLIZED = (
    ("pairs", "styleid_pairs_stylized", "Pairs that an actor has stylised."),
    ("unet_evaluations", "styleid_unet_evaluations", "UNet forwards, counted for each latent."),
    ("inversions", "styleid_inversions", "Pictures inverted."),
    ("inversions_reused", "styleid_inversions_reused", "Inversions reused from an earlier shard."),
    ("stylize_seconds", "styleid_busy_seconds", "Seconds for which an actor's model ran."),
    ("waiting_seconds", "styleid_waiting_seconds", "Seconds between an actor's shards."),
)
"""Counted by each actor at the end of a shard; a repeated shard counts again."""


class MeasureCounters:
    """Counters of a run in this process, each with a measure, a name and a meaning."""

    def __init__(self, counted: tuple[tuple[str, str, str], ...], run: str) -> None:
        self.counters = {
            measure: Counter(name, meaning, _TAGS).set_default_tags(_tags(run))
            for measure, name, meaning in counted
        }

    def add(self, measures: Mapping[str, float]) -> None:
        """Counts the measures of a shard."""
        for measure, counter in self.counters.items():
            if measures.get(measure, 0) > 0:  # Ray takes no other increments
                counter.inc(measures[measure])


class RunMetrics:
    """The driver's metrics of a run: its state, and counts of committed pairs and bytes."""

    def __init__(self, run: str, progress: Progress) -> None:
        self.progress = progress
        self.committed = MeasureCounters(COMMITTED, run)
        self.gauges = [
            Gauge(name, meaning, _TAGS).set_default_tags(_tags(run)) for name, meaning in STATE
        ]
        self.device_failures = 0
        self.show()

    def show(self) -> None:
        """Sets the gauges to the current progress."""
        progress = self.progress
        values = progress.planned, progress.left, progress.making, self.device_failures
        for gauge, value in zip(self.gauges, values, strict=True):
            gauge.set(value)


def _tags(run: str) -> dict[str, str]:
    """The tag `run`. Ray takes ASCII alone, so other characters are percent-encoded."""
    return {"run": quote(run, safe=printable, errors="replace")}
