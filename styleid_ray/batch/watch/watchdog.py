"""A watchdog: a device that makes no step ends its process, so that its work restarts elsewhere."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

_BEAT = 1.0
_GRACE = 60.0
"""Further seconds until a process ends without a message because the hang holds Python's lock."""


def watch_device(
    steps: Callable[[], int | None],
    seconds: float,
    stalled: Callable[[str], None],
    beat: Callable[[], object],
) -> None:
    """Starts a thread that ends the process when its device stalls.

    Args:
        steps: returns a number that grows with each step of the device, or None while it has no
            work.
        seconds: the longest time without a step.
        stalled: called with the reason before the process ends.
        beat: called every second.
    """

    def watch() -> None:
        pause = threading.Event()
        last, since = None, time.monotonic()
        try:
            while not pause.wait(min(_BEAT, seconds / 4)):
                # A thread of native code ends a process whose Python no longer runs.
                faulthandler.dump_traceback_later(seconds + _GRACE, exit=True, file=2)
                now = steps()
                if now is None or now != last:
                    last, since = now, time.monotonic()
                elif time.monotonic() - since > seconds:
                    end_process(f"its device made no step for {seconds:g} s", stalled)
                beat()
        finally:
            faulthandler.cancel_dump_traceback_later()

    threading.Thread(target=watch, name="watchdog", daemon=True).start()


def end_process(reason: str, report: Callable[[str], None]) -> None:
    """Ends this process at once, with the stacks of all threads in its log."""
    print(f"this process ends: {reason}", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(file=2, all_threads=True)
    try:
        report(reason)
    finally:
        os._exit(1)
