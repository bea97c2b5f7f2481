"""What was measured in each shard, as the measures of a run; and where an actor's time goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping


def add_measures(total: Counter[str], shard: Mapping[str, float]) -> None:
    """Take in a shard: sums, but for what is called a peak the largest."""
    for name, value in shard.items():
        known: float = total[name]
        both = max(known, value) if name.startswith("peak_") else known + value
        total[name] = both  # pyright: ignore[reportArgumentType]


def of_gpus(total: Mapping[str, float], gpus_per_actor: float) -> dict[str, float]:
    """What a run's measures say of its actors: `gpu_hours`, for which their GPUs were taken, and
    `busy_share`, the part of their time in which they stylised, in [0, 1].

    The time of an actor counts from its beginning to the end of its last committed shard.
    """
    seconds = total.get("actor_seconds", 0.0)
    if not seconds:
        return {}
    return {
        "gpu_hours": round(seconds * gpus_per_actor / 3600, 4),
        "busy_share": round(total["stylize_seconds"] / seconds, 4),
    }


class ActorClock:
    """An actor's time, shard by shard, from the clock's making on."""

    def __init__(self) -> None:
        self.counted = time.perf_counter()
        self.ready()

    def ready(self) -> None:
        """From here on the actor waits for a shard."""
        self.free = time.perf_counter()

    def shard(self, began: float) -> dict[str, float]:
        """A shard that was begun at `began` (`time.perf_counter`) is done.

        Returns its `actor_seconds`, since the shard before or the clock's making, and
        `waiting_seconds`, since the actor was ready.
        """
        counted, free = self.counted, self.free
        self.counted = self.free = time.perf_counter()
        return {"actor_seconds": self.counted - counted, "waiting_seconds": began - free}
