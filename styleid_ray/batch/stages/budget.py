"""Bytes that threads share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ByteBudget:
    """At most so many bytes are taken at a time; who asks for more than all of them gets all of
    them, alone."""

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self._change = threading.Condition()

    @contextmanager
    def taking(self, count: int) -> Iterator[None]:
        """Waits until so many bytes are free, and has them within the block."""
        count = min(count, self.total)
        with self._change:
            self._change.wait_for(lambda: self.free >= count)
            self.free -= count
        try:
            yield
        finally:
            with self._change:
                self.free += count
                self._change.notify_all()
