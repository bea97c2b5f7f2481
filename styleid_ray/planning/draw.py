"""Random styles per content: independent, or shared within groups of contents."""

import math
from collections.abc import Sequence

import numpy as np

from styleid_ray.planning.hashing import GOLDEN, hashes, mix, uniform

_JUMP = 2862933555777941757
GROUP_PAIRS = 200
"""Pairs per group of contents, about, if few styles are drawn for each."""


def draw_styles(contents: Sequence[str], styles: int, count: int, seed: int) -> np.ndarray:
    """Draw `count` distinct styles for each content, uniformly.

    A content's draw depends on its key, the seed and the number of styles alone: adding or removing
    contents changes no other draw.

    Args:
        contents: keys of the contents.
        styles: number of styles to draw from, at least `count`.

    Returns:
        int32 [contents, count]: style indices, ascending within a content.
    """
    state = hashes(contents, seed)
    drawn = np.empty((len(contents), count), np.int32)
    rows = max(1, 2**26 // styles)
    for start in range(0, len(contents), rows):
        part = slice(start, start + rows)
        drawn[part] = _floyd(state[part], styles, count)
    drawn.sort(axis=1)
    return drawn


def draw_weighted_styles(
    contents: Sequence[str], styles: Sequence[str], weights: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Draw `count` distinct styles for each content, one after the other, each with a probability
    in proportion to its weight among the remaining styles (Efraimidis & Spirakis 2006).

    A content's draw depends on its key, the seed, and the keys and weights of the styles.

    Args:
        contents: keys of the contents.
        styles: keys of the styles.
        weights: float64 [styles], not negative, at least `count` of them above 0.

    Returns:
        int32 [contents, count]: style indices, ascending within a content.
    """
    chosen = np.flatnonzero(weights > 0)
    of_content, of_style = hashes(contents, seed), hashes(styles, seed)[chosen]
    drawn = np.empty((len(contents), count), np.int32)
    rows = max(1, 2**22 // len(chosen))
    for start in range(0, len(contents), rows):
        part = slice(start, start + rows)
        u = uniform(mix(of_content[part, None] + of_style))
        waiting = -np.log(u) / weights[chosen]  # least first is the order of u^(1/w), largest first
        first = np.argpartition(waiting, count - 1, axis=1)[:, :count]
        drawn[part] = chosen[first]
    drawn.sort(axis=1)
    return drawn


def draw_shared_styles(
    contents: Sequence[str], styles: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` distinct styles for each content, from a pool that its group shares.

    Contents are grouped by a hash of their key, and each group draws a pool of styles, from which
    its contents draw theirs. Over the seeds each content's styles are uniform, as in `draw_styles`,
    but two contents of a group are not independent. Adding a content changes few other draws.

    Args:
        contents: keys of the contents.
        styles: number of styles to draw from, at least `count`.

    Returns:
        int32 [contents, count]: style indices, ascending within a content; and
        int64 [contents]: the group of each content.
    """
    size, width = group_shape(styles, count)
    state = hashes(contents, seed)
    groups = _jump(mix(state), max(1, round(len(contents) / size)))
    pools = _pools(int(groups.max(initial=0)) + 1, styles, width, seed)
    drawn = np.take_along_axis(pools[groups], _floyd(state, width, count), axis=1)
    drawn.sort(axis=1)
    return drawn, groups


def group_shape(styles: int, count: int) -> tuple[float, int]:
    """Contents of a group on average, and styles of its pool.

    A pool of √`GROUP_PAIRS` styles adds little to the cost of a group. A group has at least
    √`GROUP_PAIRS` contents, else so few that it seldom makes more than `GROUP_PAIRS` pairs.
    """
    side = math.isqrt(GROUP_PAIRS)
    full = GROUP_PAIRS / count
    return max(side, full - math.sqrt(full)), min(styles, max(count, side))


def _pools(groups: int, styles: int, width: int, seed: int) -> np.ndarray:
    """Styles of each group's pool, int32 [groups, width].

    All styles are shuffled and dealt out, then shuffled again, so that pools use every style about
    equally often. The remainder of a shuffle, less than a pool, is not dealt.
    """
    each = styles // width
    decks = -(-groups // each)
    names = [f"deck {deck}" for deck in range(decks)]
    state = hashes(names, seed)
    dealt = np.empty((decks, each * width), np.int32)
    steps = np.arange(1, styles + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    rows = max(1, 2**22 // styles)
    for start in range(0, decks, rows):
        part = slice(start, start + rows)
        order = np.argsort(mix(state[part, None] + steps), axis=1, kind="stable")
        dealt[part] = order[:, : each * width]
    return dealt.reshape(-1, width)[:groups]


def _jump(state: np.ndarray, groups: int) -> np.ndarray:
    """Jump consistent hash (Lamping & Veach 2014): a group for each state, int64. One more group
    changes one state in `groups` + 1, which moves to the new group."""
    state, group = state.copy(), np.zeros(len(state), np.int64)
    moving = np.arange(len(state))
    while len(moving):
        state[moving] = state[moving] * np.uint64(_JUMP) + np.uint64(1)
        leap = 2.0**31 / ((state[moving] >> np.uint64(33)) + np.uint64(1))
        target = ((group[moving] + 1) * leap).astype(np.int64)
        moving, target = moving[target < groups], target[target < groups]
        group[moving] = target
    return group


def _floyd(state: np.ndarray, styles: int, count: int) -> np.ndarray:
    """R. Floyd's sampling without replacement, for all contents at once: step j takes a number up
    to j, or j itself where that number is already taken."""
    rows = np.arange(len(state))
    taken = np.zeros((len(state), styles), bool)
    drawn = np.empty((len(state), count), np.int32)
    for i, j in enumerate(range(styles - count, styles)):
        t = (mix(state + np.uint64((i + 1) * GOLDEN % 2**64)) % np.uint64(j + 1)).astype(np.int64)
        t = np.where(taken[rows, t], j, t)
        taken[rows, t] = True
        drawn[:, i] = t
    return drawn
