"""A function in a process of its own, for input that can kill the process which reads it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

# Forking a process that runs threads, as Ray's workers do, can block its child for ever.
_context = get_context("spawn")


class ProcessDiedError(Exception):
    """A call took its process along, or was ended with it; the message says how."""


class Isolated:
    """Calls of a function in one child process, which is started again after it died.

    The child ends with the block, and also when this process is killed. The function, its
    arguments and its results must be fit for pickling.

    Args:
        function: what is called.
        seconds: how long a call may take.
    """

    def __init__(self, function: Callable[..., Any], seconds: float) -> None:
        self.function = function
        self.seconds = seconds
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def __call__(self, *args: Any) -> Any:
        """The function's result; raises what it raises, or ProcessDiedError."""
        try:
            self._link.send(args)
            if not self._link.poll(self.seconds):
                self._process.kill()
                self._restart()
                raise ProcessDiedError(f"took longer than {self.seconds:g} seconds")
            result, error = self._link.recv()
        except (EOFError, OSError) as e:
            raise ProcessDiedError(f"killed the process ({self._restart()})") from e
        if error is not None:
            raise error
        return result

    def _restart(self) -> str:
        how = self._stop()
        self._start()
        return how

    def _start(self) -> None:
        self._link, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, self.function), daemon=True)
        self._process.start()
        theirs.close()  # so that the child's death is the end of the link
        self._link.recv()  # a child that cannot even start is no fault of what it would read

    def _stop(self) -> str:
        self._link.close()
        self._process.join()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _serve(link: Connection, function: Callable[..., Any]) -> None:
    link.send("ready")
    while True:
        try:
            args = link.recv()
        except EOFError:
            return
        try:
            answer = function(*args), None
        except Exception as error:
            answer = None, error
        link.send(answer)
