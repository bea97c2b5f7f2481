"""Waiting for a cluster that scales up with its work: before a job begins, and while it runs."""

import time
from typing import TextIO

from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

from styleid_ray.batch.cluster.resources import KIND, Present, Resources, gpus_per_actor
from styleid_ray.batch.watch.progress import duration
from styleid_ray.config import JobConfig

_LOOK_SECONDS, _SAY_SECONDS = 1.0, 30.0
# The amount that Ray itself requests of a resource that names a GPU type.
_KIND_AMOUNT = 0.001


def wait_for_growth(config: JobConfig, stream: TextIO) -> None:
    """Requests the resources of a job's minimum of actors from the connected cluster, and waits for
    them for up to `config.grow` minutes.

    Ray Data's own requests come too late: they begin with the actors, whose number and device
    depend on the existing nodes. `choose_resources` reports resources that are still missing.
    """
    kind, fewest = config.accelerator_type, config.actors[0] if config.actors else 1
    per_actor = gpus_per_actor(config)
    needed = Resources(fewest, fewest, per_actor, 0 if per_actor else 1, kind)
    if not config.grow or awaited(needed) is None:
        return
    gpus, cpus = _amounts(needed)
    request = (f"{gpus:g} {_gpu(kind)} and " if gpus else "") + f"{cpus:g} CPU"
    optional = gpus and not kind and config.num_gpus_per_actor is None
    print(
        f"requesting {request} from the cluster: waiting up to {config.grow:g} minutes"
        + "; --num-gpus-per-actor 0 requests no GPU" * bool(optional),
        file=stream,
    )
    actor: dict[str, float] = {"GPU": per_actor} if per_actor else {"CPU": 1}
    if kind:
        actor[f"{KIND}{kind}"] = _KIND_AMOUNT
    began = reported = time.monotonic()
    request_resources(bundles=[actor] * fewest + [{"CPU": 1}])
    try:
        while (missing := awaited(needed)) and time.monotonic() - began < 60 * config.grow:
            if time.monotonic() - reported > _SAY_SECONDS:
                reported = time.monotonic()
                print(f"waiting: {missing} after {duration(reported - began)}", file=stream)
            time.sleep(_LOOK_SECONDS)
    finally:
        request_resources(num_cpus=0)  # from here on, the actors hold the resources


def awaited(resources: Resources) -> str | None:
    """The resources that the cluster lacks for the minimum of actors; None if it has enough."""
    try:
        present = Present.read(resources.accelerator_type)
    except (RayError, RuntimeError, ConnectionError):  # the head is gone
        return "the cluster's head does not answer"
    gpus, cpus = _amounts(resources)
    if present.gpus < gpus:
        return f"{present.gpus:g} of {gpus:g} {_gpu(resources.accelerator_type)}s available"
    if present.cpus < cpus:
        return f"{present.cpus:g} of {cpus:g} CPUs available"
    return None


def _amounts(resources: Resources) -> tuple[float, float]:
    """GPUs and CPUs for the minimum of actors; one CPU loads and writes."""
    fewest = resources.min_actors
    return fewest * resources.gpus_per_actor, 1 + fewest * resources.cpus_per_actor


def _gpu(kind: str | None) -> str:
    return f"{kind} GPU" if kind else "GPU"
