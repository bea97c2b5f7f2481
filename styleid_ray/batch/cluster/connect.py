"""Connecting to Ray, and how much of the cluster a job takes."""

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
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import ClusterOptions, JobConfig
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

from styleid_ray.batch.watch.logs import ray_job

# What begins the name of a node's resource that says the kind of its GPUs.
KIND = "accelerator_type:"
_ADDRESS_REMEDY = "check --address and RAY_ADDRESS, or leave them out to start Ray on this machine"


@dataclass(frozen=True)
class Resources:
    """The stylize actors of a job."""

    min_actors: int
    max_actors: int
    gpus_per_actor: float
    cpus_per_actor: float
    accelerator_type: str | None = None
    """The one kind of GPU that actors run on."""

    @property
    def device_share(self) -> float:
        """The part of its GPU's memory that is an actor's, in (0, 1]."""
        return min(1.0, self.gpus_per_actor) or 1.0

    def share(self) -> Share:
        """What is this process's own, as one actor of those that its node may hold. Nodes differ:
        an actor asks where it is."""
        nodes = [node for node in ray.nodes() if node["Alive"]] if ray.is_initialized() else []
        if self.gpus_per_actor:
            here = ray.get_runtime_context().get_node_id() if nodes else None
            gpus = sum(n["Resources"].get("GPU", 0) for n in nodes if n["NodeID"] == here)
            beside = _fitting(gpus, self.gpus_per_actor)
        else:
            beside = -(-self.max_actors // max(1, sum("CPU" in n["Resources"] for n in nodes)))
        beside = max(1, min(beside, self.max_actors))
        return Share(max(1, _cores() // beside), 1 / beside)


@dataclass(frozen=True)
class Share:
    """An actor's part of its node."""

    threads: int
    """CPU threads to compute with."""
    memory: float
    """Of the node's memory, in (0, 1]."""


@dataclass(frozen=True)
class Present:
    """What the connected cluster has now, in all."""

    gpus: float
    """Of the kind that was asked for."""
    cpus: float
    kinds: tuple[str, ...]
    """Of all its GPUs."""

    @classmethod
    def read(cls, accelerator_type: str | None = None) -> Present:
        """Asks the cluster; with `accelerator_type` only GPUs of that kind count."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        kinds = {name.removeprefix(KIND) for node in nodes for name in node if KIND in name}
        asked = [n for n in nodes if not accelerator_type or f"{KIND}{accelerator_type}" in n]
        return cls(
            gpus=sum(node.get("GPU", 0) for node in asked),
            cpus=sum(node.get("CPU", 0) for node in nodes),
            kinds=tuple(sorted(kinds)),
        )


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
        given["num_cpus"] = _cores() + (options.actors or (1, 1))[1]
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


def choose_resources(config: JobConfig, shards: int) -> Resources:
    """What the stylize stage takes of the connected cluster for so many shards.

    Raises JobError when the cluster does not have it, or when nothing would be left for loading
    and writing.
    """
    kind = config.accelerator_type
    present = Present.read(kind)
    gpus, cpus = present.gpus, present.cpus
    if kind and not gpus:
        there = f"those of {', '.join(present.kinds)}" if present.kinds else "none of any kind"
        raise JobError(
            f"--accelerator-type {kind}: the cluster has no GPU of that kind, but {there}; "
            "--grow waits for one"
        )
    per_actor = config.num_gpus_per_actor
    if per_actor is None:
        per_actor = 1 if gpus and (kind or config.device != "cpu") else 0
    if per_actor and not gpus:
        raise JobError(
            f"--num-gpus-per-actor {per_actor:g}, but the cluster has no GPU: use 0 to run on CPU"
        )
    if per_actor > 1 and per_actor != int(per_actor):
        raise JobError(f"--num-gpus-per-actor {per_actor:g}: above 1 it must be a whole number")
    fitting = _fitting(gpus, per_actor) if per_actor else 1
    lowest, highest = config.actors or (fitting or 1,) * 2
    highest = max(1, min(highest, shards))
    lowest = min(lowest, highest)
    if per_actor and lowest * per_actor > gpus:
        raise JobError(
            f"--actors {lowest} with {per_actor:g} GPUs each need {lowest * per_actor:g} GPUs, but "
            f"the cluster has {gpus:g}: ask for fewer actors or a smaller --num-gpus-per-actor"
        )
    cpus_per_actor = 0 if per_actor else 1
    if cpus < 1 + cpus_per_actor:
        raise JobError(
            f"the cluster has {cpus:g} CPUs, and a job takes {1 + cpus_per_actor} at least, one of "
            "them for loading and writing: add a node, or --grow waits for one"
        )
    if cpus - lowest * cpus_per_actor < 1:
        raise JobError(
            f"{lowest} actors would take all {cpus:g} CPUs of the cluster and leave none for "
            f"loading and writing: use --actors {int(cpus) - 1} at most"
        )
    return Resources(lowest, highest, per_actor, cpus_per_actor, kind)


def _fitting(gpus: float, per_actor: float) -> int:
    """Actors that so many GPUs hold; ten of a tenth, though 1 // 0.1 is 9."""
    return int(gpus / per_actor + 1e-6)


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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
