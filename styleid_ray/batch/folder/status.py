"""Progress of a run, from its files alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TextIO

from styleid_ray.batch.folder.failures import lines_of, retry_command
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.quality import QualitySummary, read_quality
from styleid_ray.batch.folder.tally import Tally, read_parts
from styleid_ray.batch.limits import resume_hint
from styleid_ray.batch.watch.live import pairs_under_way
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.quality.rule import reject_rule

_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Status:
    """Counts of a run's pairs. A pair that failed and was done later counts as done."""

    planned: int
    done: int
    failed: int
    missing: int
    unplanned: int
    """Shards in `data/` that are not in the plan; any is damage."""
    fingerprint: str
    reasons: list[dict[str, Any]]
    """The most common reasons of failures: stage, error, pairs, and an example's message."""
    stopped: str | None = None
    """The limit that stopped the last command, such as `--deadline 6h`."""
    quality: QualitySummary | None = None
    """Measures of the pairs that are done, if requested."""
    under_way: int | None = None
    """Pairs finished or made by the command that is making pairs now, if there is one."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; with `quality` if requested."""
        measures = {"quality": self.quality.as_dict()} if self.quality else {}
        return self.counts | {"reasons": self.reasons, "stopped": self.stopped} | measures

    @property
    def counts(self) -> dict[str, Any]:
        """The counts and the fingerprint."""
        names = ("planned", "done", "failed", "missing", "unplanned", "fingerprint")
        return {name: getattr(self, name) for name in names}

    def remarks(self, url: str) -> list[str]:
        """Lines for a person: the measures if requested, why the run stopped, why pairs failed, and
        the commands to continue with."""
        lines = self.quality.lines() if self.quality else []
        if self.stopped:
            lines.append(f"stopped by {self.stopped}; {resume_hint(self.stopped)}")
        if self.failed:
            retry = f"retry the failed pairs with: {retry_command(url)}"
            lines += [*lines_of(self.reasons), retry]
        if self.missing and self.under_way is not None:
            lines.append(
                "a command is making pairs; if it was killed less than two minutes ago, run it "
                "again"
            )
        elif self.missing and not self.stopped:
            lines.append("run the stylize command again to make the missing pairs")
        return lines

    @classmethod
    def of(cls, tally: Tally, fingerprint: str, summary: Mapping[str, Any]) -> Status:
        """The status from a tally, and from the summary of the run's last command."""
        # A few shards may have been committed after the summary.
        missing = summary.get("missing", -1)
        as_left = tally.missing == missing or 0 < tally.missing < missing
        return cls(
            planned=tally.planned,
            done=tally.done,
            failed=tally.failed,
            missing=tally.missing,
            unplanned=len(tally.unplanned),
            fingerprint=fingerprint,
            reasons=tally.failures.top(),
            stopped=summary.get("stopped") if as_left else None,
        )


def read_status(output: Output) -> Status:
    """The status of the run at an output; raises OutputError when there is none."""
    return next(statuses(output))


def with_quality(status: Status, output: Output, reject: str | None = None) -> Status:
    """The status with the measures of the pairs that are done, read from each finished shard.
    `reject` is a rule that replaces the run's own.

    Raises:
        ConfigError: the rule is not valid.
        OutputError: a file is damaged or cannot be read.
    """
    config = output.existing_record()["config"]
    rule = reject_rule(reject if reject is not None else config.get("reject"))
    planned = output.finished() & set().union(*read_parts(output).values())
    return replace(status, quality=read_quality(output, planned, rule))


def statuses(output: Output) -> Iterator[Status]:
    """The current status of the run at an output, again and again; the plan is read once. Raises
    OutputError when there is no run."""
    record = output.existing_record()
    parts = read_parts(output)
    while True:
        tally = Tally.read(output, parts)
        under_way = pairs_under_way(output)
        last = output.summary() if under_way is None else {}
        status = Status.of(tally, record.get("fingerprint", ""), last)
        yield replace(status, under_way=under_way)


def watch_status(output: Output, stream: TextIO) -> Status:
    """Shows the progress of a run on any machine, from its output alone, until all pairs are
    finished or Ctrl-C; returns the last status. Raises OutputError when there is no run."""
    looks = statuses(output)
    status = next(looks)
    progress = Progress(status.planned, status.done, status.failed)
    progress.begin(doing="without a new pair")
    pause = threading.Event()
    try:
        with shown(progress, stream):
            while status.missing:
                pause.wait(_LOOK_SECONDS)
                status = next(looks)
                progress.add(status.done - progress.done, status.failed - progress.failed)
                progress.make(max(0, (status.under_way or 0) - status.done - status.failed))
    except KeyboardInterrupt:
        pass  # ends the display, not the run
    return status
