"""From pairs to shards: bounded groups of pairs that share the inversions of their pictures.

A shard inverts each of its pictures once, so a plan costs less if its pictures are in fewer shards.
Three cuts are compared: tiles of the content x style grid (optimal for `cross`), a walk along the
contents and a walk along the styles. The one with the fewest inversions wins.
`docs/planning.md` has the reasons and the figures.
"""

from functools import lru_cache

import numpy as np

from styleid_ray.planning.columns import count_distinct

_DECODED = 256 * 512**2
"""Most pixels of a shard's pictures at working size: 200 MB decoded."""
_MOST_PICTURES = 2048


def most_pictures(size: int) -> int:
    """Most pictures (contents and styles together) of a shard at a working size: 256 at 512."""
    return max(2, min(_MOST_PICTURES, _DECODED // size**2))


def assign_shards(
    content_index: np.ndarray,
    style_index: np.ndarray,
    most: int,
    groups: np.ndarray | None = None,
    pictures: int = most_pictures(512),
) -> np.ndarray:
    """The shard of each pair.

    Consecutive shards share contents or styles where they can (serpentine order). Deterministic.

    Args:
        content_index, style_index: of each pair, non-negative integers [P].
        most: most pairs of a shard, at least 1.
        groups: of each pair, non-negative integers [P]: pairs of different groups share neither
            pictures nor a shard. None: one group.
        pictures: most distinct pictures of a shard, at least 2.

    Returns:
        Shard numbers [P], int64, from 0 without gaps.
    """
    if most < 1:
        raise ValueError("a shard holds at least one pair")
    if not len(content_index):
        return np.zeros(0, np.int64)
    grouped = np.asarray(np.zeros(len(content_index)) if groups is None else groups, np.int64)
    contents, content_counts = _ranks(content_index, grouped)
    styles, style_counts = _ranks(style_index, grouped)
    counts = np.stack([content_counts, style_counts, np.bincount(grouped)], 1)
    bounds = most, pictures
    tiles = _tiles(contents, styles, grouped, counts, bounds)
    if groups is None and _is_grid(contents, styles):
        return tiles
    shards = _cut(np.lexsort((styles, contents, tiles)), tiles, contents, styles, bounds)
    if groups is not None:
        return shards
    walks = (
        _cut(_walk(outer, inner), grouped, contents, styles, bounds)
        for outer, inner in ((contents, styles), (styles, contents))
    )
    return min(shards, *walks, key=lambda cut: _cost(cut, contents, styles))


def assign_variants(
    together: np.ndarray,
    content_index: np.ndarray,
    style_index: np.ndarray,
    most: int,
    groups: np.ndarray | None = None,
    pictures: int = most_pictures(512),
) -> np.ndarray:
    """`assign_shards` for pairs with variants, which share both inversions: all variants of a pair
    are in one shard, unless they alone are more than `most`.

    Args:
        together: non-negative integers [P] without gaps, equal for the variants of one pair, which
            follow one another.
    """
    counts = np.bincount(together)
    first = np.cumsum(counts) - counts
    most_variants = int(counts.max(initial=1))
    own = None if groups is None else np.asarray(groups)[first]
    fitting = max(1, most // most_variants)
    cells = assign_shards(content_index[first], style_index[first], fitting, own, pictures)
    if most_variants <= most:
        return cells[together]
    pieces = -(-counts // most)
    piece = (np.arange(len(together)) - first[together]) * pieces[together] // counts[together]
    return _without_gaps(cells[together] * int(pieces.max()) + piece)


def _ranks(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value's rank among the distinct values of its group, and their number by group."""
    span = int(values.max()) + 1
    distinct, place = np.unique(groups * span + values, return_inverse=True)
    counts = np.bincount(distinct // span)
    return place - (np.cumsum(counts) - counts)[groups], counts


def _is_grid(contents: np.ndarray, styles: np.ndarray) -> bool:
    """Whether every content meets every style exactly once."""
    width = int(styles.max()) + 1
    cells = (int(contents.max()) + 1) * width
    if len(contents) != cells:
        return False
    met = np.zeros(cells, bool)
    met[contents * width + styles] = True
    return bool(met.all())


def _tiles(
    contents: np.ndarray,
    styles: np.ndarray,
    groups: np.ndarray,
    counts: np.ndarray,
    bounds: tuple[int, int],
) -> np.ndarray:
    """Tile numbers [P]: balanced tiles of each group's grid, row after row of tiles, every other
    row backwards. `counts` [groups, 3] has each group's contents, styles and pairs."""
    shapes = np.array(
        [tile_grid(*count, *bounds) if count[2] else (1, 1) for count in counts.tolist()]
    )
    rows, columns = shapes[groups].T
    content_count, style_count, _ = counts[groups].T
    row = contents * rows // content_count
    column = styles * columns // style_count
    tiles = shapes.prod(1)
    number = (np.cumsum(tiles) - tiles)[groups] + row * columns
    number += np.where(row % 2 == 0, column, columns - 1 - column)
    return _without_gaps(number)


@lru_cache(maxsize=4096)
def tile_grid(
    contents: int, styles: int, pairs: int, most: int, most_met: int = most_pictures(512)
) -> tuple[int, int]:
    """The numbers of rows and columns of tiles to cut a grid into, for the fewest inversions.

    In the full grid, R rows and Q columns cost C·Q + S·R inversions, with tiles of at most
    c = ⌈C/R⌉ contents and s = ⌈S/Q⌉ styles where c·s ≤ `most` and c + s ≤ `most_met`. Where
    only a share d of the cells are pairs, as if drawn at random, a tile of c × s meets
    c·(1 − (1−d)^s) of its contents and s·(1 − (1−d)^c) of its styles, and holds about d·c·s pairs:
    room is left for two standard deviations, or for a pair in each cell if that is less. Among
    equal costs, the grid whose tiles have the shorter smaller side is taken (the engine keeps that
    side's features), then the one with fewer contents per tile.
    """
    rows = np.arange(1, contents + 1)
    c = np.unique(-(-contents // rows))
    density = pairs / (contents * styles)
    empty = 1 - min(1.0, density)

    def fits(s: np.ndarray) -> np.ndarray:
        cells = c * s.astype(float)
        spread = cells * (1 - empty) * empty * (1 - cells / (contents * styles))
        pictures = c * (1 - empty**s) + s * (1 - empty**c)
        few = (density * cells + 2 * np.sqrt(spread) <= most) | (max(1, density) * cells <= most)
        return few & (pictures <= most_met)

    low, high = np.ones_like(c), np.full_like(c, styles)
    possible = fits(low) | (c == 1)
    low = np.where(fits(high), high, low)
    while (low < high).any():
        middle = (low + high + 1) // 2
        good = fits(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle - 1)
        high = np.maximum(low, high)
    c, s = c[possible], low[possible]
    rows, columns = -(-contents // c), -(-styles // s)
    inversions = contents * columns * (1 - empty ** (styles / columns))
    inversions += styles * rows * (1 - empty ** (contents / rows))
    best = np.lexsort((c, np.minimum(c, s), inversions))[0]
    return int(rows[best]), int(columns[best])


def _walk(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The order of pairs along the outer pictures, to and fro along the inner ones."""
    return np.lexsort((np.where(outer % 2 == 0, inner, -inner), outer))


def _cut(
    order: np.ndarray,
    parts: np.ndarray,
    contents: np.ndarray,
    styles: np.ndarray,
    bounds: tuple[int, int],
) -> np.ndarray:
    """Shard numbers [P] of pairs in this order: a new shard begins with each part, and where a
    bound is met. Pieces of a part are about equal."""
    (most, pictures), part = bounds, parts[order]
    starts = np.r_[True, part[1:] != part[:-1]]
    begin = np.flatnonzero(starts)
    end = np.r_[begin[1:], len(part)]
    surely = min(most, pictures // 2)
    large = end - begin > surely
    for at, stop in zip(begin[large].tolist(), end[large].tolist(), strict=True):
        while at < stop:
            starts[at] = True
            size = -(-(stop - at) // -(-(stop - at) // most))
            if size > surely:
                some = order[at : at + size]
                size = _fitting(contents[some], styles[some], pictures)
            at += size
    shards = np.empty(len(order), np.int64)
    shards[order] = np.cumsum(starts) - 1
    return shards


def _fitting(contents: np.ndarray, styles: np.ndarray, most: int) -> int:
    """The number of leading pairs that have at most `most` distinct pictures together."""
    new = np.zeros(len(contents), np.int64)
    for pictures in (contents, styles):
        new[np.unique(pictures, return_index=True)[1]] += 1
    return int(np.searchsorted(np.cumsum(new), most, side="right"))


def _without_gaps(numbers: np.ndarray) -> np.ndarray:
    """The numbers renumbered from 0 without gaps, in the same order."""
    return (np.cumsum(np.bincount(numbers) > 0) - 1)[numbers]


def _cost(shards: np.ndarray, contents: np.ndarray, styles: np.ndarray) -> tuple[int, int]:
    """Inversions, then shards: among equally many inversions, fewer shards are better."""
    inversions = count_distinct(shards, contents) + count_distinct(shards, styles)
    return inversions, int(shards.max())
