"""`_run/progress.json`: how far a run is within its shards, for those who look from elsewhere.

A few numbers, written when a driver begins to work and every ten seconds, and removed at its end.
Nothing of the run depends on them.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from typing import Any

from styleid_ray.batch.watch.progress import Progress
from styleid_ray.errors import OutputError
from styleid_ray.storage.store import Store

PROGRESS = "_run/progress.json"
_WRITE_SECONDS, _FRESH_SECONDS = 10.0, 120.0
_COUNTS = ("done", "failed", "making")


class Live:
    """Writes the file of a run.

    Args:
        output: of the run.
        progress: what is written of.
    """

    def __init__(self, output: Store, progress: Progress) -> None:
        self.output, self.progress = output, progress
        self._written = -math.inf
        self.show()

    def show(self) -> None:
        """Writes the file when it is time to."""
        now = time.monotonic()
        if now - self._written < _WRITE_SECONDS:
            return
        self._written = now
        progress = self.progress
        numbers = {
            "time": round(time.time()),
            "planned": progress.planned,
            "done": progress.done,
            "failed": progress.failed,
            "making": progress.making,
            "pairs_per_second": round(progress.rate, 4),
        }
        with suppress(OutputError):  # a store that refuses it refuses the shards too
            self.output.write(PROGRESS, json.dumps(numbers).encode())

    def close(self) -> None:
        """Removes the file, for good."""
        self._written = math.inf
        with suppress(OutputError):
            self.output.delete(PROGRESS)


def pairs_under_way(output: Store) -> int:
    """Pairs finished or made so far, by the file of a driver that works now; else 0."""
    numbers = _fresh(output)
    return sum(numbers[name] for name in _COUNTS) if numbers else 0


def is_worked_on(output: Store) -> bool:
    """Whether the file is there of a driver that works now."""
    return bool(_fresh(output))


def _fresh(output: Store) -> dict[str, Any]:
    """The numbers of a driver that works now; else none."""
    try:
        numbers = json.loads(output.read(PROGRESS))
        if time.time() - numbers["time"] < _FRESH_SECONDS and all(n in numbers for n in _COUNTS):
            return numbers
    except (OutputError, FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return {}
