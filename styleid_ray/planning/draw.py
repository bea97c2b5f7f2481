"""Random styles for each content, each content for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15


def draw_styles(contents: Sequence[str], styles: int, count: int, seed: int) -> np.ndarray:
    """Draw `count` distinct styles for each content, uniformly.

    A content's draw depends on its key, the seed and the number of styles alone: contents that
    come or go leave the draws of the others as they are.

    Args:
        contents: keys of the contents.
        styles: number of styles to draw from, at least `count`.

    Returns:
        int32 [contents, count]: style indices, ascending within a content.
    """
    state = _hashes(contents, seed)
    drawn = np.empty((len(contents), count), np.int32)
    rows = max(1, 2**26 // styles)
    for start in range(0, len(contents), rows):
        part = slice(start, start + rows)
        drawn[part] = _floyd(state[part], styles, count)
    drawn.sort(axis=1)
    return drawn


def _floyd(state: np.ndarray, styles: int, count: int) -> np.ndarray:
    """R. Floyd's sampling without replacement, for all contents at once: step j takes a number
    up to j, or j itself where that number has been taken."""
    rows = np.arange(len(state))
    taken = np.zeros((len(state), styles), bool)
    drawn = np.empty((len(state), count), np.int32)
    for i, j in enumerate(range(styles - count, styles)):
        t = (_mix(state + np.uint64((i + 1) * _GOLDEN % 2**64)) % np.uint64(j + 1)).astype(np.int64)
        t = np.where(taken[rows, t], j, t)
        taken[rows, t] = True
        drawn[:, i] = t
    return drawn


def _mix(z: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _hashes(contents: Sequence[str], seed: int) -> np.ndarray:
    key = hashlib.blake2b(str(seed).encode(), digest_size=16).digest()
    data = b"".join(
        hashlib.blake2b(content.encode(), digest_size=8, key=key).digest() for content in contents
    )
    return np.frombuffer(data, "<u8")
