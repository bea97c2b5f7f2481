"""The order of work on pairs: which pictures to invert, evict and sample with, one after the other.

Plain data in, plain data out: no tensor is touched.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

Key = Hashable
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Size:
    """A picture's latent shape [C, h, w], and the bytes that its inversion takes."""

    shape: Shape
    nbytes: int


@dataclass(frozen=True)
class Invert:
    """Invert pictures of one shape in one batch and keep them."""

    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Evict:
    """Forget an inversion."""

    key: Key


@dataclass(frozen=True)
class Sample:
    """Sample pairs in one batch; contents have one shape, and so have first styles, and so on."""

    pairs: tuple[int, ...]


Op = Invert | Evict | Sample
Pair = tuple[Key | None, ...]
"""(content, style, further styles); a style may be None."""


def work_order(
    pairs: Sequence[Pair],
    sizes: Mapping[Key, Size],
    capacity: int,
    batch: Callable[[Shape], int],
    held: Iterable[Key] = (),
) -> list[Op]:
    """The operations for all pairs, such that few inversions are needed at the same time.

    The side that takes less memory stays, the other side passes by. Pictures are inverted just
    before they are needed, several together, and evicted when `capacity` is short: farthest next
    use first (Belady's algorithm), and among unused ones the first of `held`. The pictures of a
    batch fit the capacity; only a single pair may exceed it.

    Args:
        pairs: of keys of pictures.
        sizes: of each picture.
        capacity: bytes of inversions that may be kept at a time.
        batch: most latents of a shape in one UNet call.
        held: pictures already inverted, least recently used first.
    """
    batches = _batches(pairs, sizes, capacity, batch)
    uses: defaultdict[Key, list[int]] = defaultdict(list)
    for at, rows in enumerate(batches):
        for key in _keys(pairs, rows):
            uses[key].append(at)
    kept = dict.fromkeys(held)

    def next_use(key: Key, at: int) -> float:
        later = uses.get(key, [])
        place = bisect_left(later, at)
        return later[place] if place < len(later) else inf

    def used() -> int:
        return sum(sizes[key].nbytes for key in kept)

    def fill(group: list[Key], at: int, needed: set[Key]) -> None:
        """Add pictures that are needed next, unless they evict pictures that are needed sooner."""
        shape = sizes[group[0]].shape
        for later in range(at, len(batches)):
            for key in _keys(pairs, batches[later]):
                if len(group) >= batch(shape):
                    return
                if key in kept or key in group or sizes[key].shape != shape:
                    continue
                sooner = {x for x in kept if next_use(x, at) <= later} | needed | {*group, key}
                if sum(sizes[x].nbytes for x in sooner) > capacity:
                    return
                group.append(key)

    order: list[Op] = []
    for at, rows in enumerate(batches):
        needed = set(_keys(pairs, rows))
        while missing := [key for key in _keys(pairs, rows) if key not in kept]:
            shape = sizes[missing[0]].shape
            group = [key for key in missing if sizes[key].shape == shape][: batch(shape)]
            fill(group, at, needed)
            room = capacity - sum(sizes[key].nbytes for key in group)
            while used() > room and (idle := [key for key in kept if key not in needed]):
                farthest = max(idle, key=lambda key: next_use(key, at))
                del kept[farthest]
                order.append(Evict(farthest))
            order.append(Invert(tuple(group)))
            kept |= dict.fromkeys(group)
        order.append(Sample(tuple(rows)))
    return order


def _keys(pairs: Sequence[Pair], rows: Sequence[int]) -> list[Key]:
    """Pictures of some pairs, each once, in order of appearance."""
    return list(dict.fromkeys(key for row in rows for key in pairs[row] if key is not None))


def _batches(
    pairs: Sequence[Pair],
    sizes: Mapping[Key, Size],
    capacity: int,
    batch: Callable[[Shape], int],
) -> list[list[int]]:
    """Rows of pairs in even batches, grouped by the shapes of content and styles."""
    groups: defaultdict[tuple[Shape, ...], list[int]] = defaultdict(list)
    for row in range(len(pairs)):
        groups[tuple(sizes[key].shape for key in pairs[row] if key is not None)].append(row)
    batches = []
    for (shape, *_), rows in groups.items():
        rows = _sweep([pairs[row] for row in rows], rows, sizes, capacity)
        count = -(-len(rows) // batch(shape))
        size = -(-len(rows) // count)
        while True:
            cut = [rows[at : at + size] for at in range(0, len(rows), size)]
            needs = (sum(sizes[key].nbytes for key in _keys(pairs, part)) for part in cut)
            if size == 1 or max(needs) <= capacity:
                break
            size = -(-size // 2)
        batches += cut
    return batches


def _sweep(
    pairs: Sequence[Pair], rows: Sequence[int], sizes: Mapping[Key, Size], capacity: int
) -> list[int]:
    """Rows in blocked order: a block of one side that fits in memory, beside two pairs' pictures of
    the other, is kept while the whole other side streams past it."""
    contents = list(dict.fromkeys(content for content, *_ in pairs))
    styles = list(dict.fromkeys(key for _, *some in pairs for key in some if key is not None))
    content_bytes, style_bytes = (sum(sizes[k].nbytes for k in side) for side in (contents, styles))
    content_stays = content_bytes <= style_bytes or not styles
    staying, passing = (contents, styles) if content_stays else (styles, contents)
    fits = max(sizes[key].nbytes for key in staying)
    each = max(map(len, pairs)) - 1 if content_stays else 1  # passing pictures of one pair
    beside = 2 * max(1, each) * max((sizes[key].nbytes for key in passing), default=0)
    part = max(1, (capacity - beside) // fits)
    place = {key: at for side in (contents, styles) for at, key in enumerate(side)}

    def rank(at: int) -> tuple[int, int, int]:
        content, style = place[pairs[at][0]], place.get((*pairs[at], None)[1], 0)
        stays, passes = (content, style) if content_stays else (style, content)
        return stays // part, passes, stays

    return [rows[at] for at in sorted(range(len(rows)), key=rank)]
