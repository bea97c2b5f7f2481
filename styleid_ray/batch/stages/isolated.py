"""Calls in child processes, for input that can kill the process which reads it.

pebble's ProcessPool does nearly the same; but there, a child that dies before the pool has
registered its task leaves a task that never ends.
"""

import pickle
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Lock
from typing import Self, TypeVar

from styleid_ray.errors import JobError

T = TypeVar("T")

# Forking a process with threads, such as Ray's workers, can block the child forever. A fork server
# has no threads and has imported everything, so its children start in milliseconds.
_context = get_context("forkserver")
# An exit code can be read only once, and starting a process reads those of all others.
_processes = Lock()


class ProcessDiedError(Exception):
    """A call killed its process, or was killed with it; the message says how."""

    code: int | None = None
    """Exit code of the process; None if it was killed for taking too long."""


class Isolated:
    """Child processes that call functions, each one call of at most `seconds` at a time.

    A child that dies is replaced. All end with the block, and when this process is killed.
    Functions, arguments, results and exceptions must be picklable. `module` is one that the
    children import, once for all of them if they are this process's first.
    """

    def __init__(
        self, processes: int, seconds: float, module: str = "styleid_ray.batch.stages.picture"
    ) -> None:
        _context.set_forkserver_preload(["__main__", module])
        self.seconds = seconds
        self._children = [_Child() for _ in range(processes)]
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for child in self._children:
            child.end()

    def __call__(self, function: Callable[..., T], *args: object) -> T:
        """The function's result, from any thread; raises its exception, or ProcessDiedError."""
        child = self._idle.get()
        try:
            try:
                return child.call(function, args, self.seconds)
            except ProcessDiedError as e:
                if e.code != -signal.SIGKILL:
                    raise
                # The kernel kills when memory runs out, which another call may have caused.
                return child.call(function, args, self.seconds)
        finally:
            self._idle.put(child)


class _Child:
    """A process that is started again when it has died."""

    def __init__(self) -> None:
        self._start()

    def call(self, function: Callable[..., T], args: tuple[object, ...], seconds: float) -> T:
        if not self.ready:  # the call is not to blame for a child that cannot start
            try:
                self.link.recv()
            except EOFError as e:
                raise JobError(
                    "a process that reads pictures did not start; a script that calls "
                    "styleid_ray must do so below: if __name__ == '__main__'"
                ) from e
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
        """Ends the process; returns its exit code."""
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
            call = link.recv_bytes()
            try:
                function, args = pickle.loads(call)
                answer = function(*args), None
            except Exception as error:
                answer = None, error
            link.send(answer)
