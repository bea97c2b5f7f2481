"""The pairs that are left of a run: their order, and how many of them one command makes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Work = list[dict[str, Any]]
"""Entries of `ReadPlan`: a part of the plan, with names of shards or with ids of pairs."""

_LEADS = 8
"""Maximum number of shards that come first; one in sixteen in a small plan."""
_RUNS = 16
_SHORTEST, _LONGEST = 4, 32
"""Shards in a run of neighbours. From a hundred shards on, these figures cost less than 1 % more
UNet evaluations than the plan's own order."""


def sampled_order(shards: Sequence[T]) -> list[T]:
    """The shards of a plan in an order in which a pilot of a few shards spans the plan, and a
    stopped run is a sample of it.

    Neighbours share contents or styles, so they stay together in runs, and inversions are reused
    within a run. The runs are in bit-reversed order: first, middle, first and third quarter, ...
    The first shards of up to eight runs come before everything else.
    """
    size = min(_LONGEST, max(_SHORTEST, -(-len(shards) // _RUNS)))
    runs = [shards[start : start + size] for start in range(0, len(shards), size)]
    bits = len(runs).bit_length()
    order = sorted(range(len(runs)), key=lambda number: f"{number:0{bits}b}"[::-1])
    runs = [runs[number] for number in order]
    count = min(_LEADS, len(shards) // _RUNS)
    leads = [run[0] for run in runs[:count]]
    return leads + [shard for n, run in enumerate(runs) for shard in run[n < count :]]


def filtered(work: Work, keep: Callable[[str], bool]) -> Work:
    """The entries with only those shards or pairs for which `keep` is true, asked in order."""
    kept: Work = []
    for entry in work:
        key = _key(entry)
        if names := [name for name in entry[key] if keep(name)]:
            kept.append({**entry, key: names})
    return kept


def limited(work: Work, pairs: Mapping[str, int], most: int | None) -> Work:
    """The first `most` pairs of some work, rounded up to whole shards; None for all. `pairs` are
    the pairs of each shard."""
    left = math.inf if most is None else most

    def take(name: str) -> bool:
        nonlocal left
        taken, left = left > 0, left - pairs.get(name, 1)
        return taken

    return filtered(work, take)


def count_pairs(work: Work, pairs: Mapping[str, int]) -> int:
    """Pairs of some work; arguments as in `limited`."""
    return sum(pairs.get(name, 1) for entry in work for name in entry[_key(entry)])


def _key(entry: Mapping[str, Any]) -> str:
    return "shards" if "shards" in entry else "pair_ids"
