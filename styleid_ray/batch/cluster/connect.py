"""Connecting to Ray."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from styleid_ray.config import ClusterOptions
from styleid_ray.errors import JobError

# Ray announces a future change of how CPU tasks see GPUs; what it will become suits us.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# The driver's C++ side prints to the terminal what concerns Ray's own actor pools.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# A task that Ray itself ends, so that its node keeps some memory, is begun again for ever.
os.environ.setdefault("RAY_task_oom_retries", "10")
# What was asked of a host that vanished is begun again elsewhere after 100 seconds, not seven
# minutes. Servers refuse to be asked for a sign of life more often than once a minute.
os.environ.setdefault("RAY_grpc_client_keepalive_time_ms", "70000")
os.environ.setdefault("RAY_grpc_client_keepalive_timeout_ms", "30000")

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray.data import DataContext
from ray.util.annotations import RayDeprecationWarning

from styleid_ray.batch.cluster.resources import cores
from styleid_ray.batch.watch.logs import ray_job

_ADDRESS_REMEDY = "check --address and RAY_ADDRESS, or leave them out to start Ray on this machine"


@contextmanager
def connected(options: ClusterOptions) -> Iterator[str]:
    """A Ray connection for the block; yields what it is, for the screen.

    An existing cluster is used when `address` or RAY_ADDRESS names one, or this process is
    connected already; else Ray is started on this machine and ended with the block.
    """
    _quiet()
    if ray.is_initialized():
        yield "the Ray cluster that this process is connected to"
        return
    address = options.address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    # Ray's client (ray://) takes no job.
    given: dict[str, Any] = {} if address and "://" in address else {"job_config": ray_job()}
    if not address:
        # Loading and writing are light: they share the cores with the actors.
        given["num_cpus"] = cores() + (options.actors or (1, 1))[1]
        given["include_dashboard"] = True
    try:
        with _stderr_hushed(), _handlers_kept(), nullcontext() if address else _on_loopback():
            context = ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **given,
            )
    except Exception as e:  # Ray has many kinds of errors
        if address:
            raise JobError(f"no Ray at {address} ({_first_line(e)}): {_ADDRESS_REMEDY}") from e
        raise JobError(f"Ray did not start: {_first_line(e)}") from e
    try:
        dashboard = getattr(context, "dashboard_url", None)
        where = f"the cluster at {address}" if address else "this machine"
        yield f"Ray {ray.__version__} on {where}" + (
            f", dashboard http://{dashboard}" if dashboard else ""
        )
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises JobError when nothing answers at host:port; Ray itself would try for minutes."""
    host, _, port = address.rsplit("/", 1)[-1].rpartition(":")
    if not host or not port.isdigit():
        return  # auto, local, or what Ray itself has to judge
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as e:
        raise JobError(f"no Ray at {address} ({e}): {_ADDRESS_REMEDY}") from e


@contextmanager
def _on_loopback() -> Iterator[None]:
    """A Ray started in the block listens on 127.0.0.1 alone.

    This is what Ray does where it supports one machine only; elsewhere most of its ports are open
    to the network, and it turns a loopback address that it is given into the machine's own.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Puts back the handler of SIGTERM that Ray replaces, so that stopping ends in good order."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _stderr_hushed() -> Iterator[None]:
    """Nothing that native code writes to standard error during the block reaches the terminal."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _quiet() -> None:
    """Keeps Ray's own progress and logs off the screen; they are in its dashboard and log files."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray").setLevel(logging.ERROR)
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler).__name__ == "PlainRayHandler":  # the terminal's; the log file stays
            handler.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="ray")
    # That bounds of retries are to be given otherwise from 2.64 on; until then, only so.
    warnings.filterwarnings("ignore", category=RayDeprecationWarning)
    # What the nodes report, such as actors that ended because the job was stopped.
    ray_worker._worker_logs_enabled = False


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
