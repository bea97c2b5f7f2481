"""`_run/progress.json`: the progress of a run within its shards, for readers on other machines.

A driver writes it at its start and every ten seconds, and removes it at its end. Nothing in the run
depends on it.
"""

import json
import math
import time
from contextlib import suppress

from styleid_ray.batch.watch.progress import Progress
from styleid_ray.errors import OutputError
from styleid_ray.storage.store import Store

PROGRESS = "_run/progress.json"
_WRITE_SECONDS, _FRESH_SECONDS = 10.0, 120.0


class Live:
    """Writes the file of a run."""

    def __init__(self, output: Store, progress: Progress) -> None:
        self.output, self.progress = output, progress
        self._written = -math.inf
        self.show()

    def show(self) -> None:
        """Writes the file if the last write was ten seconds ago."""
        now = time.monotonic()
        if now - self._written < _WRITE_SECONDS:
            return
        self._written = now
        progress = self.progress
        numbers = {
            "time": round(time.time()),
            "done": progress.done,
            "failed": progress.failed,
            "making": progress.making,
        }
        with suppress(OutputError):  # the commit of a shard will report the store's fault
            self.output.write(PROGRESS, json.dumps(numbers).encode())

    def close(self) -> None:
        """Removes the file; later calls of `show` write nothing."""
        self._written = math.inf
        with suppress(OutputError):
            self.output.delete(PROGRESS)


def pairs_under_way(output: Store) -> int | None:
    """Pairs finished or made so far, by the file of a running driver; None without one."""
    try:
        numbers = json.loads(output.read(PROGRESS))
        if time.time() - numbers["time"] < _FRESH_SECONDS:
            return sum(numbers[name] for name in ("done", "failed", "making"))
    except (OutputError, FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return None
