"""What is left of a run: in which order it is worked on, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Work = list[dict[str, Any]]
"""Entries as `ReadPlan` takes them."""

_LEADS = 8
"""The most shards, one in sixteen of a small plan, that come before all others."""
_RUNS = 16
_SHORTEST, _LONGEST = 4, 32
"""Shards in a run of neighbours. From a hundred shards on, these figures cost less than 1 % more
UNet evaluations than the plan's own order."""


def sampled_order(shards: Sequence[T]) -> list[T]:
    """Shards of a plan in an order in which a pilot of a few shards spans the plan, and a stopped
    run is a sample of it.

    Neighbours share contents or styles, so they stay together in runs, and inversions are reused
    within a run. The runs are in bit-reversed order: first, middle, first and third quarter, ...
    The first shards of the first runs, of eight at most, come before everything else.
    """
    size = min(_LONGEST, max(_SHORTEST, -(-len(shards) // _RUNS)))
    starts = range(0, len(shards), size)
    bits = max(1, (len(starts) - 1).bit_length())
    reversed_numbers = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    runs = [
        shards[starts[number] : starts[number] + size]
        for number in reversed_numbers
        if number < len(starts)
    ]
    count = min(_LEADS, len(shards) // _RUNS)
    leads = [run[0] for run in runs[:count]]
    return leads + [shard for n, run in enumerate(runs) for shard in run[n < count :]]


def limited(work: Work, pairs: Mapping[str, int], most: int | None) -> Work:
    """The beginning of some work.

    Args:
        work: entries with `shards`, or with `pair_ids` in a retry.
        pairs: of each shard.
        most: pairs to make, rounded up to whole shards; None for all.
    """
    if most is None:
        return work
    chosen: Work = []
    for entry in work:
        key = "shards" if "shards" in entry else "pair_ids"
        names: list[str] = []
        for name in entry[key]:
            if most <= 0:
                break
            names.append(name)
            most -= pairs.get(name, 1)
        if names:
            chosen.append({**entry, key: names})
    return chosen


def count_pairs(work: Work, pairs: Mapping[str, int]) -> int:
    """Pairs of some work; arguments as of `limited`."""
    return sum(
        pairs.get(name, 1) for e in work for name in e["shards" if "shards" in e else "pair_ids"]
    )
