"""The duration of shards: bounds in device time for the work that a stop can lose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from styleid_ray.config import ResolvedParams

LONGEST = 600.0
"""Seconds that a shard may last by the estimate."""
_SHORTEST = 10.0
"""Seconds below which cutting a small job into more shards saves nothing."""
_PIECES = 10
"""Pieces of a job that would fit one shard."""


@dataclass(frozen=True)
class Pace:
    """The actors that will work on a plan."""

    workers: int = 1
    seconds: float = 0.0
    """Estimate for one UNet evaluation in one actor; 0 where unknown."""

    def pairs(self, pairs: int, shard_pairs: int, evaluations: int) -> int:
        """Most pairs of a shard: `shard_pairs`, or fewer where workers would go idle, each of
        several getting two shards at least, or where a small job is to be lost in pieces.

        Args:
            pairs: of the job.
            evaluations: of the job in one shard.
        """
        pieces = 2 * self.workers if self.workers > 1 else 1
        if pairs <= shard_pairs:
            small = math.ceil(evaluations * self.seconds / _SHORTEST)
            pieces = max(pieces, min(_PIECES, small))
        return max(1, min(shard_pairs, -(-pairs // pieces)))

    def shorter(self, pairs: int, evaluations: int) -> int:
        """Most pairs of a shard, if the longest one would have these pairs and evaluations."""
        seconds = evaluations * self.seconds
        return max(1, int(pairs * LONGEST / seconds)) if seconds > LONGEST else pairs


def evaluations(counts: np.ndarray, params: ResolvedParams | None) -> np.ndarray:
    """UNet evaluations of shards, int64 [shards], of their contents, styles and pairs
    [shards, 3]; none without parameters, of a method without a UNet."""
    if params is None:
        return np.zeros(len(counts), np.int64)
    contents, styles, pairs = counts.T
    inversions = contents + (styles if params.uses_style else 0)
    return inversions * params.inversion_evaluations + pairs * params.sampling_evaluations
