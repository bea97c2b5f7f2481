"""A job's share of the cluster, and an actor's share of its node."""

from __future__ import annotations

import os
from dataclasses import dataclass

from styleid_ray.config import JobConfig
from styleid_ray.errors import JobError

KIND = "accelerator_type:"
"""Prefix of the node resource that names the type of its GPUs."""


@dataclass(frozen=True)
class Resources:
    """The stylize actors of a job."""

    min_actors: int
    max_actors: int
    gpus_per_actor: float
    cpus_per_actor: float
    accelerator_type: str | None = None
    """The only GPU type that actors run on."""
    evaluations: int = 0
    """Approximate UNet evaluations of each actor in the job."""

    @property
    def device_share(self) -> float:
        """An actor's part of its GPU's memory, in (0, 1]."""
        return min(1.0, self.gpus_per_actor) or 1.0

    def device(self, requested: str) -> str:
        """The device of an actor; an actor without a GPU uses the CPU, even if one is visible."""
        return requested if self.gpus_per_actor else "cpu"

    def share(self) -> tuple[int, float]:
        """CPU threads of this process, and its part of the node's memory in (0, 1], as one of the
        actors that the node may hold. Nodes differ, so call it in the actor."""
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]] if ray.is_initialized() else []
        if self.gpus_per_actor:
            here = ray.get_runtime_context().get_node_id() if nodes else None
            gpus = sum(n["Resources"].get("GPU", 0) for n in nodes if n["NodeID"] == here)
            beside = fitting(gpus, self.gpus_per_actor)
        else:
            beside = -(-self.max_actors // max(1, sum("CPU" in n["Resources"] for n in nodes)))
        beside = max(1, min(beside, self.max_actors))
        return max(1, cores() // beside), 1 / beside


@dataclass(frozen=True)
class Present:
    """The current resources of the connected cluster."""

    gpus: float
    """GPUs of the requested type."""
    cpus: float
    kinds: tuple[str, ...]
    """Types of all its GPUs."""
    hosts: tuple[tuple[float, float], ...] = ()
    """(GPUs, CPUs) of each node with GPUs of the requested type."""

    @classmethod
    def read(
        cls, accelerator_type: str | None = None, excluded: frozenset[str] = frozenset()
    ) -> Present:
        """Asks the cluster, except for the nodes whose ids are in `excluded`. With
        `accelerator_type`, only GPUs of that type count."""
        import ray

        alive = [n for n in ray.nodes() if n["Alive"] and n["NodeID"] not in excluded]
        nodes = [node["Resources"] for node in alive]
        kinds = {name.removeprefix(KIND) for node in nodes for name in node if KIND in name}
        matching = [n for n in nodes if not accelerator_type or f"{KIND}{accelerator_type}" in n]
        return cls(
            gpus=sum(node.get("GPU", 0) for node in matching),
            cpus=sum(node.get("CPU", 0) for node in nodes),
            kinds=tuple(sorted(kinds)),
            hosts=tuple((n["GPU"], n.get("CPU", 0)) for n in matching if n.get("GPU")),
        )


def gpus_per_actor(config: JobConfig, present: bool = True) -> float:
    """GPUs per actor of a job; `present` tells whether the cluster has GPUs of its type."""
    if config.num_gpus_per_actor is not None:
        return config.num_gpus_per_actor
    return 1 if present and (config.accelerator_type or not config.on_cpu) else 0


def choose_resources(config: JobConfig, shards: int) -> Resources:
    """The resources of a job's actors in the connected cluster, for a number of shards.

    Raises JobError when the cluster lacks them, or when none would be left for loading and writing.
    """
    kind = config.accelerator_type
    present = Present.read(kind)
    gpus, cpus = present.gpus, present.cpus
    if kind and not gpus:
        existing = f" of that kind, only {', '.join(present.kinds)}" if present.kinds else ""
        raise JobError(
            f"--accelerator-type {kind}: the cluster has no GPU{existing}; --grow waits for one"
        )
    per_actor = gpus_per_actor(config, gpus > 0)
    if per_actor and not gpus:
        raise JobError(
            f"--num-gpus-per-actor {per_actor:g}, but the cluster has no GPU: use 0 to run on CPU"
        )
    if not per_actor and config.device == "cuda":
        raise JobError(
            "--device cuda, but the actors have no GPU: "
            + ("give --num-gpus-per-actor 1" if gpus else "the cluster has none, use --device cpu")
        )
    if per_actor > 1 and per_actor != int(per_actor):
        raise JobError(f"--num-gpus-per-actor {per_actor:g}: above 1 it must be a whole number")
    fit = fitting(gpus, per_actor) if per_actor else 1
    lowest, highest = config.actors or (fit or 1,) * 2
    highest = max(1, min(highest, shards))
    lowest = min(lowest, highest)
    if per_actor and lowest * per_actor > gpus:
        raise JobError(
            f"--actors {lowest} with {per_actor:g} GPUs each need {lowest * per_actor:g} GPUs, but "
            f"the cluster has {gpus:g}: ask for fewer actors or a smaller --num-gpus-per-actor"
        )
    if per_actor:
        # The thread that launches kernels gets its own core, if every node can spare one.
        spare = all(has >= 2 * max(1, fitting(gpus, per_actor)) for gpus, has in present.hosts)
        cpus_per_actor = 1 if spare and cpus > highest else 0
    else:
        cpus_per_actor = 1
    if cpus < 1 + cpus_per_actor:
        raise JobError(
            f"the cluster has {cpus:g} CPUs, and a job needs at least {1 + cpus_per_actor}, one of "
            "them for loading and writing: add a node, or --grow waits for one"
        )
    if cpus - lowest * cpus_per_actor < 1:
        raise JobError(
            f"{lowest} actors would take all {cpus:g} CPUs of the cluster and leave none for "
            f"loading and writing: use at most --actors {int(cpus) - 1}"
        )
    return Resources(lowest, highest, per_actor, cpus_per_actor, kind)


def fitting(gpus: float, per_actor: float) -> int:
    """Number of actors that fit on `gpus` GPUs: ten of 0.1, though 1 // 0.1 is 9."""
    return int(gpus / per_actor + 1e-6)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
