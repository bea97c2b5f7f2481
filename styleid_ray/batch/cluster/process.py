"""The process that drives a run: temporary settings for Ray."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

# Ray reads these in each of its processes; in the driver, on import.
_ENVIRONMENT = {
    # By default, Ray retries forever a task that it kills because its node is short of memory.
    "RAY_task_oom_retries": "10",
    # Work on a vanished host restarts elsewhere after 100 seconds instead of seven minutes.
    # Servers refuse keepalives more often than once per minute.
    "RAY_grpc_client_keepalive_time_ms": "70000",
    "RAY_grpc_client_keepalive_timeout_ms": "30000",
}


@contextmanager
def own_process() -> Iterator[None]:
    """The environment and the terminal of a command, for the block.

    Only Python's standard error, such as the progress, reaches the terminal. Messages of Ray's
    native code (to the same descriptor) and of the nodes (to standard output) are in Ray's log
    files. Only for the command line, since it changes the whole process. Enter it before Ray is
    imported.
    """
    with ExitStack() as stack:
        stack.enter_context(environment())
        sink = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(redirect_stdout(sink))
        if _is_descriptor(2):
            sys.stderr.flush()
            # Left open: handlers of libraries imported in the block keep it.
            terminal = open(os.dup(2), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
            stack.callback(os.dup2, terminal.fileno(), 2)
            os.dup2(sink.fileno(), 2)
            stack.enter_context(redirect_stderr(terminal))
        yield


@contextmanager
def environment() -> Iterator[None]:
    """Sets a run's Ray variables that the user has not set; afterwards restores all of Ray's."""
    before = _of_ray()
    os.environ.update({name: v for name, v in _ENVIRONMENT.items() if name not in before})
    try:
        yield
    finally:
        for name in _of_ray().keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def quiet_ray() -> Iterator[None]:
    """During the block, Ray's Python code writes only to its log files."""
    from ray.util.annotations import RayDeprecationWarning

    ray = logging.getLogger("ray")
    consoles = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]
    levels = [(logger, logger.level) for logger in (ray, *consoles)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="ray")
        warnings.filterwarnings("ignore", category=RayDeprecationWarning)
        ray.setLevel(logging.ERROR)
        for console in consoles:
            console.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in levels:
                logger.setLevel(level)


def _of_ray() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


def _is_descriptor(number: int) -> bool:
    """Whether this is Python's standard error, which a test or a notebook may replace."""
    try:
        return sys.stderr.fileno() == number
    except (AttributeError, OSError, ValueError):
        return False
