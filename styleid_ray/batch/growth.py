"""Waiting until a cluster that grows with its work has what a job begins with."""

from __future__ import annotations

import time
from typing import TextIO

import ray
from ray.autoscaler.sdk import request_resources

from styleid_ray.config import JobConfig

_LOOK_SECONDS = 1.0


def wait_for_growth(config: JobConfig, stream: TextIO) -> None:
    """Asks the connected cluster for what the fewest actors take, and waits until it is there.

    It gives up after `config.grow` minutes: what is missing is said where the actors are counted.
    """
    gpus = config.num_gpus_per_actor
    if gpus is None:
        gpus = 0 if config.device == "cpu" else 1
    fewest = config.actors[0] if config.actors else 1
    # One CPU is for loading and writing.
    bundles = [{"GPU": gpus} if gpus else {"CPU": 1}] * fewest + [{"CPU": 1}]
    needed = {name: sum(b.get(name, 0) for b in bundles) for name in ("GPU", "CPU")}
    if not config.grow or _there(needed):
        return
    said = " and ".join(f"{count:g} {name}" for name, count in needed.items() if count)
    print(f"asking the cluster for {said}: {config.grow:g} minutes at most", file=stream)
    deadline = time.monotonic() + 60 * config.grow
    request_resources(bundles=bundles)
    try:
        while not _there(needed) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
    finally:
        request_resources(num_cpus=0)  # from here on the actors themselves hold what came


def _there(needed: dict[str, float]) -> bool:
    total = ray.cluster_resources()
    return all(total.get(name, 0) >= count for name, count in needed.items())
