"""The duration of shards, which bounds the device time that a stop can lose."""

import math
from dataclasses import dataclass

import numpy as np

from styleid_ray.config import ResolvedParams

LONGEST = 600.0
"""Most seconds of a shard, as estimated."""
_SHORTEST = 10.0
"""Seconds of a shard below which cutting a small job further saves nothing."""
_PIECES = 10
"""Most shards of a job that would fit one shard."""


@dataclass(frozen=True)
class Pace:
    """The actors that will work on a plan."""

    workers: int = 1
    seconds: float = 0.0
    """Estimate for one UNet evaluation in one actor; 0 if unknown."""

    def pairs(self, pairs: int, shard_pairs: int, evaluations: int) -> int:
        """Most pairs of a shard: `shard_pairs`; or fewer, so that each of several workers gets at
        least two shards, and a stop of a small job loses a part of it alone.

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
        """Most pairs of a shard, given the pairs and evaluations of the longest one."""
        seconds = evaluations * self.seconds
        return max(1, int(pairs * LONGEST / seconds)) if seconds > LONGEST else pairs


def evaluations(counts: np.ndarray, params: ResolvedParams | None) -> np.ndarray:
    """UNet evaluations per shard, int64 [shards], by its contents, styles and pairs [shards, 3]; 0
    without parameters, for a method without a UNet."""
    if params is None:
        return np.zeros(len(counts), np.int64)
    contents, styles, pairs = counts.T
    inversions = contents + (styles if params.uses_style else 0)
    return inversions * params.inversion_evaluations + pairs * params.sampling_evaluations
