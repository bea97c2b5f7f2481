"""The driver's look at the board, about once a second."""

from __future__ import annotations

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
"""Seconds for which only sick actors may be alive before their shards go back."""


class Lookout:
    """A thread that looks at the board of a run, and has sick actors hand back their shards when
    nothing else is left to wait for.

    Args:
        board: handle of the board.
        pairs: pairs that are to be done.
        seen: is shown each view.
    """

    def __init__(self, board: Any, pairs: int, seen: Callable[[View], None]) -> None:
        self.board, self.left, self.seen = board, pairs, seen
        self.view = View()
        self._finished: set[str] = set()
        self._release = False
        self._alone: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lookout", daemon=True)
        self._thread.start()

    def committed(self, done: Done) -> None:
        """A shard was committed."""
        self.left -= int(done.measures["done"] + done.measures["failed"])
        self._finished.add(done.shard)

    def resume(self) -> None:
        """What was handed back is done again: sick actors hold once more."""
        self._release, self._alone = False, None

    def close(self) -> None:
        """Looks no longer."""
        self._over.set()
        self._thread.join(timeout=_PATIENCE)

    def _look(self) -> None:
        named: set[str] = set()
        while not self._over.wait(_LOOK_SECONDS):
            finished = self._finished
            fresh = sorted(finished - named)
            try:
                view: Any = ray.get(self.board.look.remote(fresh, self._release), timeout=_PATIENCE)
            except (RayError, RuntimeError):  # a board that is gone, or a Ray that is
                continue
            named.update(fresh)
            made = {shard: n for shard, n in view.made.items() if shard not in finished}
            self.view = replace(view, made=made)
            self._judge(self.view)
            self.seen(self.view)

    def _judge(self, view: View) -> None:
        if not view.held or view.healthy:
            self._alone = None
        elif self._alone is None:
            self._alone = time.monotonic()
        waited = self._alone is not None and time.monotonic() - self._alone > _ALONE
        if waited or (view.held and view.held >= self.left):
            self._release = True
