"""Running a measurement in a process of its own, so that its peak of memory is its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from styleid_ray.errors import JobError


def run_apart(function: Callable[..., Any], *args: Any, limit: float | None = None) -> Any:
    """What `function(*args)` returns in a fresh interpreter; None after `limit` seconds without.

    The function and its arguments are pickled, so it must be one that can be imported. Raises
    JobError when the process ends without a result.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, function, args))
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit):
            return None
        return receiver.recv()
    except EOFError as e:
        process.join()
        raise JobError(
            f"{function.__module__}.{function.__name__} ended with exit code {process.exitcode} "
            "and no result: its traceback is above"
        ) from e
    finally:
        process.terminate()
        process.join()


def peak_rss() -> int:
    """Most memory in bytes that this process had resident so far (VmHWM, Linux only)."""
    # Not getrusage: what it tells goes back to the process that started this one.
    with open("/proc/self/status") as f:
        line = next(line for line in f if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _send(sender: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    sender.send(function(*args))
