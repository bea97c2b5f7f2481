"""A watchdog: a device that makes no step ends its process, so that its work begins elsewhere."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

_BEAT = 1.0
_GRACE = 60.0
"""Seconds more until the process ends without a word: Python's lock is held by what hangs."""


class Watchdog:
    """A thread that looks every second whether the device moves.

    Args:
        steps: a number that grows with each step of the device, or None while it has no work.
        seconds: the longest time without a step.
        stalled: is told how long the device has made no step, when that is too long; the process
            ends afterwards.
        beat: called every second besides.
    """

    def __init__(
        self,
        steps: Callable[[], int | None],
        seconds: float,
        stalled: Callable[[str], None] = lambda reason: None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self.steps, self.seconds, self.stalled, self.beat = steps, seconds, stalled, beat
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Watches no longer."""
        self._over.set()

    def _watch(self) -> None:
        last, since = None, time.monotonic()
        try:
            while not self._over.wait(min(_BEAT, self.seconds / 4)):
                # A thread of native code ends a process whose Python does not run any more.
                faulthandler.dump_traceback_later(self.seconds + _GRACE, exit=True, file=2)
                now = self.steps()
                if now is None or now != last:
                    last, since = now, time.monotonic()
                elif time.monotonic() - since > self.seconds:
                    reason = f"its device made no step for {self.seconds:g} s"
                    end_process(reason, self.stalled)
                self.beat()
        finally:
            faulthandler.cancel_dump_traceback_later()


def end_process(reason: str, report: Callable[[str], None] = lambda reason: None) -> None:
    """Ends this process at once, with the stacks of all threads in its log."""
    print(f"this process ends: {reason}", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(file=2, all_threads=True)
    try:
        report(reason)
    finally:
        os._exit(1)
