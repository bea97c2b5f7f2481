"""The driver's poll of the board, about once per second."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from styleid_ray.batch.stages.shard import Done
from styleid_ray.batch.watch.board import View

_LOOK_SECONDS = 1.0
_PATIENCE = 10.0
_ALONE = 30.0
"""Seconds with only sick actors alive after which their shards are handed back."""


class Lookout:
    """A thread that polls the board of a run with `pairs` to do, passes each view to `seen`, and
    releases the shards held on excluded nodes once all others are done.

    The first error of `seen` is raised by `check`.
    """

    def __init__(self, board: Any, pairs: int, seen: Callable[[View], None]) -> None:
        self.board, self.left, self.seen = board, pairs, seen
        self.view = View()
        self._finished: set[str] = set()
        self._release = False
        self._alone: float | None = None
        self._over = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._look, name="lookout", daemon=True)
        self._thread.start()

    def committed(self, done: Done) -> None:
        """A shard was committed."""
        self.left -= int(done.measures["done"] + done.measures["failed"])
        self._finished.add(done.shard)

    def resume(self) -> None:
        """The handed-back shards are done again: sick actors hold new ones as before."""
        self._release, self._alone = False, None

    def check(self) -> None:
        """Raises an error of `seen`."""
        if self._error:
            raise self._error

    def close(self) -> None:
        """Stops polling."""
        self._over.set()
        self._thread.join(timeout=_PATIENCE)

    def _look(self) -> None:
        named: set[str] = set()
        while not self._over.wait(_LOOK_SECONDS):
            finished = self._finished
            fresh = sorted(finished - named)
            try:
                view: Any = ray.get(self.board.look.remote(fresh, self._release), timeout=_PATIENCE)
            except (RayError, RuntimeError):  # the board or Ray itself has ended
                continue
            named.update(fresh)
            made = {shard: n for shard, n in view.made.items() if shard not in finished}
            self.view = replace(view, made=made)
            self._judge(self.view)
            try:
                self.seen(self.view)
            except Exception as e:  # sick actors are still released, so that the driver goes on
                self._error = self._error or e

    def _judge(self, view: View) -> None:
        if not view.held or view.healthy:
            self._alone = None
        elif self._alone is None:
            self._alone = time.monotonic()
        waited = self._alone is not None and time.monotonic() - self._alone > _ALONE
        if waited or (view.held and view.held >= self.left):
            self._release = True
