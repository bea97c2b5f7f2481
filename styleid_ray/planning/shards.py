"""From pairs to shards: bounded groups of pairs that share the inversions of their pictures.

A shard inverts each of its pictures once, so the fewer times a picture turns up in different
shards, the less a plan costs. Three ways of cutting are tried, each linear in the pairs, and the
one with the fewest inversions is taken: tiles of the content x style grid, which is the best there
is for `cross`, and a walk along the contents or along the styles, for sparse sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from styleid_ray.planning.columns import count_distinct


def assign_shards(
    content_index: np.ndarray, style_index: np.ndarray, max_contents: int, max_styles: int
) -> np.ndarray:
    """Say which shard each pair belongs to.

    No shard has more than `max_contents` distinct contents, `max_styles` distinct styles, or
    max_contents x max_styles pairs. Shards that follow one another share contents or styles
    where they can (serpentine order), so that one who works through them in order may keep
    what was inverted last. Deterministic.

    Args:
        content_index, style_index: of each pair, non-negative integers [P].
        max_contents, max_styles: bounds of a shard, at least 1.

    Returns:
        Shard numbers [P], int64, from 0 without gaps.
    """
    if max_contents < 1 or max_styles < 1:
        raise ValueError("a shard holds at least one content and one style")
    if not len(content_index):
        return np.zeros(0, np.int64)
    contents, styles = _ranks(content_index), _ranks(style_index)
    bounds = (max_contents, max_styles)
    tiles = _tiles(contents, styles, *bounds)
    if _is_grid(contents, styles):
        return tiles
    walks = _walk(contents, styles, *bounds), _walk(styles, contents, *reversed(bounds))
    return min(tiles, *walks, key=lambda shards: _inversions(shards, contents, styles))


def _ranks(index: np.ndarray) -> np.ndarray:
    """The index with unused numbers left out."""
    index = np.asarray(index)
    used = np.bincount(index) > 0
    return (np.cumsum(used) - 1)[index]


def _is_grid(contents: np.ndarray, styles: np.ndarray) -> bool:
    """Whether every content meets every style exactly once."""
    cells = (int(contents.max()) + 1) * (int(styles.max()) + 1)
    if len(contents) != cells:
        return False
    met = np.zeros(cells, bool)
    met[contents * (int(styles.max()) + 1) + styles] = True
    return bool(met.all())


def _tiles(
    contents: np.ndarray, styles: np.ndarray, max_contents: int, max_styles: int
) -> np.ndarray:
    """Balanced tiles of the grid, row after row of tiles, every other row backwards."""
    rows, _ = _blocks(contents, max_contents)
    columns, width = _blocks(styles, max_styles)
    tile = rows * width + np.where(rows % 2 == 0, columns, width - 1 - columns)
    order = np.argsort(tile, kind="stable")
    grouped = tile[order]
    place = np.arange(len(tile))
    first = np.r_[True, grouped[1:] != grouped[:-1]]
    # A pair may be there several times (k): a tile with too many is cut in pieces.
    within = place - np.maximum.accumulate(np.where(first, place, 0))
    starts = first | (within % (max_contents * max_styles) == 0)
    return _in_place(np.cumsum(starts) - 1, order)


def _blocks(ranks: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Blocks of at most `most` neighbours, as equal as can be: 6 by at most 4 are 3 and 3."""
    count = int(ranks.max()) + 1
    blocks = -(-count // most)
    return ranks * blocks // count, blocks


def _walk(outer: np.ndarray, inner: np.ndarray, max_outer: int, max_inner: int) -> np.ndarray:
    """Along the outer pictures, and there and back along the inner ones; cut at the bounds."""
    back_and_forth = np.where(outer % 2 == 0, inner, -inner)
    order = np.lexsort((back_and_forth, outer))
    return _in_place(_cuts(outer[order], inner[order], max_outer, max_inner), order)


def _cuts(outer: np.ndarray, inner: np.ndarray, max_outer: int, max_inner: int) -> np.ndarray:
    most = max_outer * max_inner
    starts = np.zeros(len(outer), bool)
    found: list[int] = []
    seen: set[int] = set()
    start, outers, last = 0, 0, -1
    for i, (o, n) in enumerate(_rows(outer, inner)):
        if o != last:
            last = o
            outers += 1
        seen.add(n)
        if len(seen) > max_inner or outers > max_outer or i - start >= most:
            found.append(i)
            start, outers, seen = i, 1, {n}
    starts[found] = True
    return np.cumsum(starts)


def _rows(a: np.ndarray, b: np.ndarray, step: int = 2**18) -> Iterator[tuple[int, int]]:
    # Not all at once: Python's integers take eight times the memory of the arrays.
    pieces = (slice(i, i + step) for i in range(0, len(a), step))
    return chain.from_iterable(zip(a[p].tolist(), b[p].tolist(), strict=True) for p in pieces)


def _in_place(sorted_shards: np.ndarray, order: np.ndarray) -> np.ndarray:
    shards = np.empty(len(order), np.int64)
    shards[order] = sorted_shards
    return shards


def _inversions(shards: np.ndarray, contents: np.ndarray, styles: np.ndarray) -> int:
    return count_distinct(shards, contents) + count_distinct(shards, styles)
