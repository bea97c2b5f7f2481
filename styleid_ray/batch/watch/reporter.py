"""The reports of an actor or a task to the board. A board that does not answer changes nothing."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from styleid_ray.batch.watch.board import Report

_PATIENCE = 10.0
"""Seconds to wait for an answer of the board."""
ATTEMPTS = 10
"""The most attempts at a shard; a shard that ends its process this often is at fault itself."""


class Reporter:
    """Reports of this process. Without a board (None) they are dropped. `evaluations` returns the
    UNet evaluations so far."""

    def __init__(self, board: Any = None) -> None:
        self.board = board
        context = ray.get_runtime_context() if ray.is_initialized() else None
        self.node = context.get_node_id() if context else ""
        self.actor = (context.get_actor_id() if context else None) or ""
        self.name = f"{self.node[:8]} ({ray.util.get_node_ip_address()})" if context else ""
        self.sick = False
        self.evaluations: Callable[[], int] = lambda: 0
        self._held = 0
        self._made: dict[str, int] = {}
        self._at_hand: set[str] = set()
        self._lock = threading.Lock()

    def starting(self) -> str | None:
        """This actor starts; returns the reason if its node is excluded."""
        return self._ask("starting", self.node, self.actor, self.name)

    def started(self) -> None:
        """This actor has its model."""
        self._tell("started", self.node, self.actor)

    def unfit(self, reason: str) -> None:
        """This actor cannot start here."""
        self._ask("unfit", self.node, self._here(reason))

    def device_failed(self, reason: str) -> None:
        """This actor's device has failed."""
        self._ask("device_failed", self.node, self._here(reason))

    def begun(self, stage: str, shard: str) -> int:
        """The stage begins a shard; returns the number of the attempt, from 1."""
        return self._ask("begun", stage, shard) or 1

    def ended(self, stage: str, shard: str) -> None:
        """The stage has finished the shard."""
        with self._lock:
            self._at_hand.discard(shard)
            made = self._made.pop(shard, 0)
        self._tell("ended", stage, shard, self.node, made)

    def making(self, shard: str, pairs: int) -> None:
        """Sets the number of finished pairs of a shard, sent with the next beat."""
        with self._lock:
            self._made[shard] = pairs
            self._at_hand.add(shard)

    def hold(self, pairs: int) -> None:
        """Adds pairs that this sick actor holds."""
        with self._lock:
            self._held += pairs

    def beat(self) -> bool | None:
        """Sends the state of this actor; for a sick one, returns whether it hands back its shards,
        or None without an answer."""
        with self._lock:
            made, self._made = self._made, {}
            busy, done = bool(self._at_hand), self.evaluations()
            report = Report(self.sick, self._held, made, busy, gpu_memory(), done)
        if self.sick:
            return self._ask("report", self.actor, report)
        self._tell("report", self.actor, report)
        return None

    def _here(self, reason: str) -> str:
        return f"{reason} (node {self.name})"

    def _tell(self, method: str, *args: Any) -> None:
        if self.board is not None:
            getattr(self.board, method).remote(*args)

    def _ask(self, method: str, *args: Any) -> Any:
        if self.board is None:
            return None
        try:
            return ray.get(getattr(self.board, method).remote(*args), timeout=_PATIENCE)
        except RayError:
            return None


def gpu_memory() -> tuple[int, int] | None:
    """Held and total bytes of this process's GPU; None if it uses none.

    The numbers come from torch's allocator, since a GPU that hangs would not answer.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda.memory_reserved(), torch.cuda.get_device_properties(0).total_memory
