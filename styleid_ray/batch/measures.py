"""What was measured in each shard, as the measures of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def add_measures(total: Counter[str], shard: Mapping[str, float]) -> None:
    """Take in a shard: sums, but for what is called a peak the largest."""
    for name, value in shard.items():
        known: float = total[name]
        both = max(known, value) if name.startswith("peak_") else known + value
        total[name] = both  # pyright: ignore[reportArgumentType]
