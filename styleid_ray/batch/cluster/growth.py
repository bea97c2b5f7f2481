"""Waiting for machines, before a job begins on a cluster that grows with its work and later."""

from __future__ import annotations

import time
from typing import TextIO

from ray.autoscaler.sdk import request_resources

from styleid_ray.batch.cluster.resources import KIND, Present, Resources
from styleid_ray.batch.watch.progress import duration
from styleid_ray.config import JobConfig

_LOOK_SECONDS, _SAY_SECONDS = 1.0, 30.0
# Of a resource that says what kind a node's GPUs are, an actor takes as much as Ray has it take.
_KIND_AMOUNT = 0.001


def wait_for_growth(config: JobConfig, stream: TextIO) -> None:
    """Asks the connected cluster for what the fewest actors take, and waits until it is there.

    It gives up after `config.grow` minutes: what is missing is said where the actors are counted.
    """
    per_actor = config.num_gpus_per_actor
    if per_actor is None:
        per_actor = 0 if config.device == "cpu" and not config.accelerator_type else 1
    fewest = config.actors[0] if config.actors else 1
    gpus, cpus = per_actor * fewest, 1 + (0 if per_actor else fewest)  # one CPU loads and writes
    kind = config.accelerator_type
    if not config.grow or _missing(gpus, cpus, kind) is None:
        return
    said = (f"{gpus:g} GPU{_of(kind)} and " if gpus else "") + f"{cpus} CPU"
    print(f"asking the cluster for {said}: {config.grow:g} minutes at most", file=stream)
    actor: dict[str, float] = {"GPU": per_actor} if per_actor else {"CPU": 1}
    if kind:
        actor[f"{KIND}{kind}"] = _KIND_AMOUNT
    began = told = time.monotonic()
    request_resources(bundles=[actor] * fewest + [{"CPU": 1}])
    try:
        while why := _missing(gpus, cpus, kind):
            now = time.monotonic()
            if now - began > 60 * config.grow:
                break
            if now - told > _SAY_SECONDS:
                print(f"waiting: {why} after {duration(now - began)}", file=stream)
                told = now
            time.sleep(_LOOK_SECONDS)
    finally:
        request_resources(num_cpus=0)  # from here on the actors themselves hold what came


def awaited(resources: Resources) -> str | None:
    """What the fewest actors of a job that runs wait for, where the cluster has lost it; None when
    it has enough."""
    fewest = resources.min_actors
    try:
        return _missing(
            fewest * resources.gpus_per_actor,
            1 + fewest * resources.cpus_per_actor,
            resources.accelerator_type,
        )
    except Exception:  # Ray has many errors for a head that is gone; the run meets its own
        return "the cluster's head does not answer"


def _missing(gpus: float, cpus: float, kind: str | None) -> str | None:
    present = Present.read(kind)
    if present.gpus < gpus:
        return f"{present.gpus:g} of {gpus:g} GPUs{_of(kind)} are there"
    if present.cpus < cpus:
        return f"{present.cpus:g} of {cpus:g} CPUs are there"
    return None


def _of(kind: str | None) -> str:
    return f" of kind {kind}" if kind else ""
