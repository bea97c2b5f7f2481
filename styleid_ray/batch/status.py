"""What an output holds, by its files alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from styleid_ray.batch.output import CONFIG, Output, as_ids
from styleid_ray.errors import OutputError


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
        done = output.pair_ids("data")
        return cls(done, np.setdiff1d(output.pair_ids("errors"), done, assume_unique=True))

    @property
    def all(self) -> np.ndarray:
        """Sorted ids of every pair that needs no more work."""
        return np.union1d(self.done, self.failed)


def read_status(output: Output) -> Status:
    """The status of the run at an output; raises OutputError when there is none."""
    record = output.record()
    if record is None:
        raise OutputError(f"there is no run at {output.url} (no {CONFIG}): check the path")
    parts = [as_ids(part.column("pair_id")) for part in output.plan_parts()]
    planned = np.concatenate(parts) if parts else np.empty(0, "S32")
    committed = Committed.read(output)
    done = int(np.isin(planned, committed.done).sum())
    failed = int(np.isin(planned, committed.failed).sum())
    return Status(
        planned=len(planned),
        done=done,
        failed=failed,
        missing=len(planned) - done - failed,
        unplanned=len(committed.all) - done - failed,
        fingerprint=record.get("fingerprint", ""),
    )
