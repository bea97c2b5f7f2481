"""Measures of shards, as the measures of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def add_measures(total: Counter[str], shard: Mapping[str, float]) -> None:
    """Take in a shard: sums, but for what is called a peak the largest."""
    for name, value in shard.items():
        known: float = total[name]
        both = max(known, value) if name.startswith("peak_") else known + value
        total[name] = both  # pyright: ignore[reportArgumentType]


def of_actors(total: Mapping[str, float], gpus_per_actor: float) -> dict[str, float]:
    """The run's actors by its measures: `gpu_hours` for which their GPUs were taken; and, of the
    time from their first step to their last, `busy_share`, the part in which the model ran, in
    [0, 1], and `actor_rate`, UNet evaluations per second of one actor.
    """
    busy = total.get("stylize_seconds", 0.0)
    if not busy:
        return {}
    seconds = busy + total["waiting_seconds"]
    return {
        "gpu_hours": round(total["actor_seconds"] * gpus_per_actor / 3600, 4),
        "busy_share": round(busy / seconds, 4),
        "actor_rate": round(total.get("unet_evaluations", 0) / seconds, 4),
    }
