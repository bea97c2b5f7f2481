"""Connecting to Ray."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray
import ray.data  # sets up its loggers, which are quiet while a job runs
from ray._private import ray_constants

from styleid_ray.batch.cluster.process import environment, quiet_ray
from styleid_ray.batch.cluster.resources import cores
from styleid_ray.batch.watch.logs import ray_job
from styleid_ray.config import ClusterOptions
from styleid_ray.errors import JobError, first_line

_ADDRESS_REMEDY = "check --address and RAY_ADDRESS, or leave them out to start Ray on this machine"


@contextmanager
def connected(options: ClusterOptions) -> Iterator[str]:
    """A Ray connection for the block; yields its description for the user.

    An existing connection of the process is used as it is. Otherwise this connects to the cluster
    named by `address` or RAY_ADDRESS, or starts Ray on this machine. After the block, Ray's
    environment, loggers, warnings and signal handlers are restored.
    """
    if ray.is_initialized():
        yield "the Ray cluster that this process is connected to"
        return
    with environment(), quiet_ray(), _connection(options) as description:
        yield description


def log_folder() -> str:
    """Folder of the connected Ray's logs, on each of its nodes."""
    try:
        context = ray.get_runtime_context()
        return f"{context.get_temp_dir()}/{context.get_session_name()}/logs"
    except Exception:  # Ray's client has no session, nor does a driver whose head is gone
        return "/tmp/ray/session_latest/logs"


@contextmanager
def _connection(options: ClusterOptions) -> Iterator[str]:
    address = options.address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    # Ray's client (ray://) accepts no job.
    arguments: dict[str, Any] = {} if address and "://" in address else {"job_config": ray_job()}
    if not address:
        # Loading and writing are light, so they share the cores with the actors.
        arguments["num_cpus"] = cores() + (options.actors or (1, 1))[1]
        arguments["include_dashboard"] = True
    try:
        with _signals_kept(), nullcontext() if address else _on_loopback():
            context = ray.init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **arguments,
            )
    except Exception as e:  # Ray has many kinds of errors
        if address:
            raise JobError(f"no Ray at {address} ({first_line(e)}): {_ADDRESS_REMEDY}") from e
        raise JobError(f"Ray did not start: {first_line(e)}") from e
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
        return  # auto, local, or an address that Ray itself checks
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as e:
        raise JobError(f"no Ray at {address} ({e}): {_ADDRESS_REMEDY}") from e


@contextmanager
def _on_loopback() -> Iterator[None]:
    """A Ray started in the block listens only on 127.0.0.1.

    Ray does so by itself on systems where it supports only one machine. Elsewhere it opens most of
    its ports to the network and replaces a loopback address by the machine's own. The variable that
    controls this (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER) is read when Ray is imported, so there is no
    public way.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restores the handler of SIGTERM, which Ray replaces, so that a stop ends cleanly."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
