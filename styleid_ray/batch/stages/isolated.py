"""Calls in child processes, for input that can kill the process which reads it.

pebble's ProcessPool does nearly the same; but a child that dies at once, before the pool has taken
note of its task, leaves a task there that never ends.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

# Forking a process that runs threads, as Ray's workers do, can block its child for ever; a server
# that forks in its place has imported everything already, and its children start in milliseconds.
_context = get_context("forkserver")
_context.set_forkserver_preload(["__main__", "styleid_ray.batch.stages.picture"])
# An exit code can be read once: starting a process looks at all others, in whichever thread.
_processes = Lock()


class ProcessDiedError(Exception):
    """A call killed its process, or was killed with it; the message says how."""

    code: int | None = None
    """Exit code of the process; None where it was ended for taking too long."""


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
        self._children = [_Child() for _ in range(processes)]
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            child.end()

    def __call__(self, function: Callable[..., T], *args: object) -> T:
        """The function's result, for any thread; raises its exception, or ProcessDiedError."""
        child = self._idle.get()
        try:
            try:
                return child.call(function, args, self.seconds)
            except ProcessDiedError as e:
                if e.code != -signal.SIGKILL:
                    raise
                # The kernel does this when memory runs out, which may be another call's doing.
                return child.call(function, args, self.seconds)
        finally:
            self._idle.put(child)


class _Child:
    """A process that is started again when it has died."""

    def __init__(self) -> None:
        self._start()

    def call(self, function: Callable[..., T], args: tuple[object, ...], seconds: float) -> T:
        if not self.ready:
            self.link.recv()  # a child that cannot even start is no fault of the call
            self.ready = True
        try:
            self.link.send((function, args))
            if not self.link.poll(seconds):
                self.process.kill()
                self._restart()
                raise ProcessDiedError(f"took longer than {seconds:g} seconds")
            result, error = self.link.recv()
        except (EOFError, OSError) as e:
            code = self._restart()
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            died = ProcessDiedError(f"killed the process ({how})")
            died.code = code
            raise died from e
        if error is not None:
            raise error
        return result

    def end(self) -> int:
        """Ends the process and gives its exit code."""
        self.link.close()
        wait([self.process.sentinel])
        with _processes:
            self.process.join()
        return self.process.exitcode or 0

    def _restart(self) -> int:
        code = self.end()
        self._start()
        return code

    def _start(self) -> None:
        self.link, theirs = _context.Pipe()
        with _processes:
            self.process = _context.Process(target=_serve, args=(theirs,), daemon=True)
            self.process.start()
        theirs.close()  # so that the child's death is the end of the link
        self.ready = False


def _serve(link: Connection) -> None:
    with suppress(EOFError, OSError):  # the other end is closed
        link.send("ready")
        while True:
            function, args = link.recv()
            try:
                answer = function(*args), None
            except Exception as error:
                answer = None, error
            link.send(answer)
