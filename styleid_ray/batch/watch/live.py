"""`_run/progress.json`: how far a run is within its shards, for those who look from elsewhere.

A few numbers, written every ten seconds while a driver works, and removed at its end. Nothing of
the run depends on them.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress

from styleid_ray.batch.watch.progress import Progress
from styleid_ray.errors import OutputError
from styleid_ray.storage.store import Store

PROGRESS = "_run/progress.json"
_WRITE_SECONDS, _FRESH_SECONDS = 10.0, 120.0


class Live:
    """Writes the file of a run.

    Args:
        output: of the run.
        progress: what is written of.
    """

    def __init__(self, output: Store, progress: Progress) -> None:
        self.output, self.progress = output, progress
        self._written = time.monotonic()

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
        """Removes the file."""
        with suppress(OutputError):
            self.output.delete(PROGRESS)


def pairs_under_way(output: Store) -> int:
    """Pairs finished or made so far, by the file of a driver that works now; else 0."""
    try:
        numbers = json.loads(output.read(PROGRESS))
        if time.time() - numbers["time"] < _FRESH_SECONDS:
            return numbers["done"] + numbers["failed"] + numbers["making"]
    except (OutputError, FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return 0
