"""What an output holds, by its files alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import numpy as np

from styleid_ray.batch.folder.output import CONFIG, Kind, Output, as_ids, unique_ids
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.errors import OutputError

_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Status:
    """Counts of a run's pairs. A pair that failed and was done later counts as done."""

    planned: int
    done: int
    failed: int
    missing: int
    unplanned: int
    """Committed pairs that the plan does not have; more than none is a damaged run."""
    fingerprint: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Committed:
    """Sorted ids of the pairs that were done, and of those that failed and were not done since."""

    done: np.ndarray
    failed: np.ndarray

    @classmethod
    def read(cls, output: Output) -> Committed:
        """From the committed files, the only record of progress."""
        return cls.of(output.pair_ids("data"), output.pair_ids("errors"))

    @classmethod
    def of(cls, done: np.ndarray, failed: np.ndarray) -> Committed:
        """From the sorted ids in `data/` and in `errors/`."""
        return cls(done, np.setdiff1d(failed, done, assume_unique=True))

    @property
    def all(self) -> np.ndarray:
        """Sorted ids of every pair that needs no more work."""
        return np.union1d(self.done, self.failed)


def read_status(output: Output) -> Status:
    """The status of the run at an output; raises OutputError when there is none."""
    return next(statuses(output))


def statuses(output: Output) -> Iterator[Status]:
    """The status of the run at an output, as often as it is asked for; each file is read once.

    Raises OutputError when there is no run.
    """
    record = output.record()
    if record is None:
        raise OutputError(f"there is no run at {output.url} (no {CONFIG}): check the path")
    parts = [as_ids(part.column("pair_id")) for part in output.plan_parts()]
    planned = np.concatenate(parts) if parts else np.empty(0, "S32")
    known: dict[Kind, dict[str, np.ndarray]] = {"data": {}, "errors": {}}
    while True:
        for kind in known:
            known[kind] = output.ids_by_file(kind, known[kind])
        committed = Committed.of(*(unique_ids(files.values()) for files in known.values()))
        done = int(np.isin(planned, committed.done).sum())
        failed = int(np.isin(planned, committed.failed).sum())
        yield Status(
            planned=len(planned),
            done=done,
            failed=failed,
            missing=len(planned) - done - failed,
            unplanned=len(committed.all) - done - failed,
            fingerprint=record.get("fingerprint", ""),
        )


def watch_status(output: Output, stream: TextIO) -> Status:
    """Shows the progress of a run that goes on somewhere, by its output alone, until all its pairs
    are finished or Ctrl-C; returns the last status.

    Raises OutputError when there is no run.
    """
    looks = statuses(output)
    status = next(looks)
    progress = Progress(status.planned, status.done, status.failed)
    progress.begin(doing="without a new shard")
    pause = threading.Event()
    try:
        with shown(progress, stream):
            while status.missing:
                pause.wait(_LOOK_SECONDS)
                status = next(looks)
                progress.add(status.done - progress.done, status.failed - progress.failed)
    except KeyboardInterrupt:
        pass  # the run goes on: somebody has seen enough
    return status
