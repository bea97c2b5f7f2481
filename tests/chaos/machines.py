"""A Ray cluster of three nodes on this machine, parts of which can be killed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from ray.cluster_utils import Cluster

# How Ray names a worker process while it does a stage's work.
STAGES = {"load": "MapBatches(Load", "stylize": "MapBatches(Stylize", "commit": "MapBatches(Commit"}
_STORE = 100_000_000  # bytes of each node's object store; Ray takes no fewer
_NODES = 2
_LOOK_AGAIN = 0.3  # seconds; a new process takes longer to begin with work
# A node that is gone is noticed within seconds.
_SYSTEM = {"health_check_period_ms": 1000, "health_check_initial_delay_ms": 1000}


class Machines:
    """A head without CPUs, to which drivers connect, and nodes that work."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.address = cluster.address
        self._found: list[psutil.Process] = []
        self._looked = 0.0

    def add_node(self) -> None:
        """One more node that works."""
        self.cluster.add_node(num_cpus=3, object_store_memory=_STORE)

    def kill_node(self, chance: random.Random) -> str:
        """Kills all of a node at once; gives its name."""
        node = chance.choice(sorted(self.cluster.worker_nodes, key=lambda one: one.node_id))
        self.cluster.remove_node(node, allow_graceful=False)
        return node.node_id[:8]

    def busy(self) -> set[psutil.Process]:
        """The processes that work for some stage now."""
        return {p for p in self._workers() if any(mark in _title(p) for mark in STAGES.values())}

    def kill_worker(
        self, stage: str, chance: random.Random, but: set[psutil.Process]
    ) -> int | None:
        """Kills one of the processes that work for a stage now, but for those of an earlier
        driver; gives its id, or None when there is none."""
        found = [p for p in self._workers() if p not in but and STAGES[stage] in _title(p)]
        if not found:
            return None
        process = chance.choice(found)
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return None
        return process.pid

    def _workers(self) -> list[psutil.Process]:
        """The nodes' processes. A task is over in milliseconds: looking for its process must take
        less, so what there is, which takes longer, is looked up now and then."""
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            self._looked, self._found = time.monotonic(), []
            for node in self.cluster.worker_nodes:
                for raylet in node.all_processes["raylet"]:
                    with suppress(psutil.NoSuchProcess):
                        self._found += psutil.Process(raylet.process.pid).children()
        return self._found


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def machines() -> Iterator[Machines]:
    """The cluster for the block."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": _STORE,
            "_system_config": _SYSTEM,
        },
    )
    try:
        made = Machines(cluster)
        for _ in range(_NODES):
            made.add_node()
        yield made
    finally:
        cluster.shutdown()
