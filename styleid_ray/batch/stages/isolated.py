"""Calls in child processes, for input that can kill the process which reads it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from types import TracebackType
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessPool

T = TypeVar("T")

# Forking a process that runs threads, as Ray's workers do, can block its child for ever; a server
# that forks in its place has imported everything already, and its children start in milliseconds.
_context = get_context("forkserver")
_context.set_forkserver_preload(["__main__", "styleid_ray.batch.stages.picture"])


class ProcessDiedError(Exception):
    """A call killed its process, or was killed with it; the message says how."""


class Isolated:
    """Child processes that call functions, each one call at a time.

    A child that dies is replaced. All end with the block, and when this process is killed.
    Functions, arguments, results and exceptions must be fit for pickling.

    Args:
        processes: how many children there are.
        seconds: how long a call may take.
    """

    def __init__(self, processes: int, seconds: float) -> None:
        self.seconds = seconds
        self._pool = ProcessPool(processes, context=_context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.stop()
        self._pool.join()

    def __call__(self, function: Callable[..., T], *args: object) -> T:
        """The function's result, for any thread; raises its exception, or ProcessDiedError."""
        try:
            try:
                return self._call(function, *args)
            except ProcessExpired as e:
                if e.exitcode != -signal.SIGKILL:
                    raise
                # The kernel does this when memory runs out, which may be another call's doing.
                return self._call(function, *args)
        except ProcessExpired as e:
            raise ProcessDiedError(f"killed the process ({_ending(e.exitcode)})") from e
        except TimeoutError as e:
            raise ProcessDiedError(f"took longer than {self.seconds:g} seconds") from e

    def _call(self, function: Callable[..., T], *args: object) -> T:
        return self._pool.schedule(function, args, timeout=self.seconds).result()


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
