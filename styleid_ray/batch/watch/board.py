"""The board of a run: an actor that keeps what the stages report while they work.

It recognises shards that are restarted again and again and nodes whose devices fail repeatedly, and
shows the actors' progress within their shards. No result depends on it: losing it costs the view.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import ray

_SEEN = 60.0
"""Seconds after its last report for which an actor counts as alive."""
_LOADING = 3600.0
"""Seconds without a report for which an actor that loads its model counts as holding its GPU."""
_STARTS = 3
"""The most starts in a row of an actor on a node that may end unfinished."""
_FAILURES = 2
"""Device failures after which a node is excluded."""
_FORGIVEN = 10
"""Finished shards that reset that count."""


@dataclass(frozen=True)
class Report:
    """The state of an actor."""

    sick: bool = False
    held: int = 0
    """Pairs of shards that a sick actor holds idle."""
    made: dict[str, int] = field(default_factory=dict)
    """Finished pairs of each shard in work."""
    busy: bool = False
    """Whether it has a shard in work."""
    gpu_memory: tuple[int, int] | None = None
    """Bytes that it holds of its GPU, and the GPU's total."""
    evaluations: int = 0
    """UNet evaluations of its process."""


@dataclass(frozen=True)
class View:
    """The board at one moment."""

    made: dict[str, int] = field(default_factory=dict)
    """Finished pairs of shards that may not be committed yet."""
    held: int = 0
    """Pairs that sick actors hold."""
    actors: int = 0
    """Actors alive."""
    holding: int = 0
    """Actors that hold their GPUs: alive ones, and ones that load their model."""
    healthy: int = 0
    """Actors alive that are not sick."""
    busy: int = 0
    """Actors alive that have a shard in work."""
    gpu_memory: tuple[int, int] | None = None
    """Held and total bytes of the fullest GPU; None without GPUs."""
    sick: dict[str, str] = field(default_factory=dict)
    """Reasons of the excluded nodes, by node id."""
    failures: int = 0
    """Failures of devices so far."""
    evaluations: int = 0
    """UNet evaluations of all actors so far."""


class Board:
    """The reports of a run's stages."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.starts: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[str] = Counter()
        self.since: Counter[str] = Counter()
        self.failures = 0
        self.sick: dict[str, str] = {}
        self.actors: dict[str, tuple[float, Report]] = {}
        self.loading: set[str] = set()
        self.made: dict[str, int] = {}
        self.released = False

    def starting(self, node: str, actor: str, name: str) -> str | None:
        """An actor starts; returns the reason if its node is excluded."""
        self.actors[actor] = time.monotonic(), Report()
        self.loading.add(actor)
        self.starts[node, actor] += 1
        if self.starts[node, actor] > _STARTS:
            reason = f"an actor that starts ended its process {_STARTS} times (node {name})"
            self.sick.setdefault(node, reason)
        return self.sick.get(node)

    def started(self, node: str, actor: str) -> None:
        """The actor has its model."""
        self.starts.pop((node, actor), None)
        self.loading.discard(actor)
        self.actors[actor] = time.monotonic(), Report()

    def unfit(self, node: str, reason: str) -> None:
        """An actor cannot start on the node."""
        self.sick.setdefault(node, reason)

    def device_failed(self, node: str, reason: str) -> None:
        """The device of an actor failed; its process ends."""
        self.failures += 1
        if self.since.pop(node, 0) >= _FORGIVEN:
            del self.failed[node]
        self.failed[node] += 1
        if self.failed[node] >= _FAILURES:
            self.sick.setdefault(node, reason)

    def begun(self, stage: str, shard: str) -> int:
        """A stage begins a shard; returns how often it has begun without finishing."""
        self.attempts[stage, shard] += 1
        return self.attempts[stage, shard]

    def ended(self, stage: str, shard: str, node: str, made: int = 0) -> None:
        """A stage has finished a shard, in which it has `made` pairs since the last report."""
        self.attempts.pop((stage, shard), None)
        if made:
            self.made[shard] = made
        if self.failed[node]:
            self.since[node] += 1

    def report(self, actor: str, report: Report) -> bool:
        """Takes the state of an actor; returns whether held shards are handed back."""
        self.actors[actor] = time.monotonic(), report
        self.made.update(report.made)
        return self.released

    def look(self, committed: list[str], release: bool) -> View:
        """The view for the driver, which names the shards committed since its last call and decides
        whether sick actors hand back theirs."""
        self.released = release
        for shard in committed:
            self.made.pop(shard, None)
        now = time.monotonic()
        silent = {actor: now - at for actor, (at, _) in self.actors.items()}
        alive = [report for actor, (_, report) in self.actors.items() if silent[actor] < _SEEN]
        loading = (_SEEN <= silent[actor] < _LOADING for actor in self.loading)
        held = [report.gpu_memory for report in alive if report.gpu_memory]
        return View(
            made=dict(self.made),
            held=sum(report.held for report in alive),
            actors=len(alive),
            holding=len(alive) + sum(loading),
            healthy=sum(not report.sick for report in alive),
            busy=sum(report.busy for report in alive),
            gpu_memory=max(held, key=lambda memory: memory[0] / memory[1], default=None),
            sick=dict(self.sick),
            failures=self.failures,
            evaluations=sum(report.evaluations for _, report in self.actors.values()),
        )


def start_board() -> Any:
    """A board on this process's node; it ends with the handle."""
    here = ray.get_runtime_context().get_node_id()
    options = {"num_cpus": 0, "max_restarts": -1, "label_selector": {"ray.io/node-id": here}}
    return ray.remote(Board).options(**options).remote()
