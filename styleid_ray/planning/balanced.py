"""Styles dealt so that each is used equally often, or in proportion to its weight."""

from heapq import heapify, heappop, heappush

import numpy as np

from styleid_ray.planning.choice import Choice, Indices
from styleid_ray.planning.hashing import noise

_TRADES = 8
"""Trades of styles per content."""
_AT_ONCE = 2**22
"""Styles traded at a time, which bounds the memory."""


def balance(choice: Choice) -> Indices:
    """Deal styles to contents that lack some; planned pairs are kept.

    Raises:
        SourceError: there are fewer styles than each content is to get.
    """
    choice.check_count()
    number = len(choice.styles)
    of_content, of_style = choice.planned or (np.empty(0, np.int64), np.empty(0, np.int64))
    used = np.bincount(of_style[of_style >= 0], minlength=number)
    planned = np.bincount(of_content[of_content >= 0], minlength=len(choice.contents))
    kept = (of_content >= 0) & (of_style >= 0)
    of_content, of_style, seed = of_content[kept], of_style[kept], choice.config.seed
    weights = np.ones(number) if choice.weights is None else choice.weights
    missing = np.where(planned > 0, np.maximum(choice.count - planned, 0), 0)
    c, s = deal_missing(missing, (of_content, of_style), weights, used, seed)
    used = used + np.bincount(s, minlength=number)
    new = np.flatnonzero(planned == 0)
    dealt = deal_styles(len(new), choice.count, weights, used, seed)
    new = np.repeat(new, choice.count)
    contents = np.concatenate([of_content, c, new]).astype(np.int32)
    styles = np.concatenate([of_style, s, dealt.reshape(-1)]).astype(np.int32)
    order = np.lexsort((styles, contents))
    return contents[order], styles[order], None


def deal_styles(
    contents: int, count: int, weights: np.ndarray, used: np.ndarray, seed: int
) -> np.ndarray:
    """Deal `count` distinct styles to each content.

    Args:
        contents: number of contents.
        weights: float64 [S], not negative, at least `count` of them above 0.
        used: int64 [S], times that each style was dealt before.

    Returns:
        int32 [contents, count]: style indices, ascending within a content.
    """
    if not contents:
        return np.empty((0, count), np.int32)
    uses = how_often(contents, count, weights, used, seed)
    # Wrapped around: a style's uses are consecutive and at most as many as the contents, so that no
    # content gets a style twice.
    order = np.argsort(noise("styles", seed, len(uses)), kind="stable")
    turns = np.repeat(order.astype(np.int32), uses[order])
    dealt = turns.reshape(count, contents).T
    dealt = dealt[np.argsort(noise("contents", seed, contents), kind="stable")]
    if count > 1:
        for turn in range(_TRADES):
            _trade(dealt, f"trade {turn}", seed)
    dealt.sort(axis=1)
    return dealt


def deal_missing(
    missing: np.ndarray,
    held: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    used: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Deal styles to contents that have some but not all, as after an extension that was cut off.

    Contents take turns in random order, and each gets the styles least used for their weight among
    those it lacks.

    Args:
        missing: int64 [C], number of styles that each content is to get, at most those it lacks.
        held: contents and styles of the existing pairs, int64 [P] each.
        weights: float64 [S], not negative.
        used: int64 [S], times that each style was dealt before.

    Returns:
        Contents and styles of the new pairs, int64 each.
    """
    short = np.flatnonzero(missing)
    short = short[np.argsort(noise("short", seed, len(short)), kind="stable")]
    own: dict[int, set[int]] = {content: set() for content in short.tolist()}
    theirs = np.isin(held[0], short)
    for content, style in zip(*(side[theirs].tolist() for side in held), strict=True):
        own[content].add(style)
    ties = iter(noise("ties", seed, len(weights) + int(missing.sum())).tolist())
    queue = [
        ((used[style] + 1) / weights[style], next(ties), style)
        for style in (np.flatnonzero(weights > 0).tolist() if own else ())
    ]
    heapify(queue)
    dealt: list[int] = []
    for content, styles in own.items():
        taken: list[tuple[float, int, int]] = []
        passed: list[tuple[float, int, int]] = []
        while len(taken) < missing[content]:
            first = heappop(queue)
            (passed if first[2] in styles else taken).append(first)
        dealt += [style for _, _, style in taken]
        for one in passed:
            heappush(queue, one)
        for level, _, style in taken:
            heappush(queue, (level + 1 / weights[style], next(ties), style))
    return np.repeat(short, missing[short]), np.array(dealt, np.int64)


def how_often(
    contents: int, count: int, weights: np.ndarray, used: np.ndarray, seed: int
) -> np.ndarray:
    """Times to deal each style, int64 [S], `contents`·`count` in all.

    Together with earlier deals this is each weight's share, rounded up or down: less only where a
    content would get a style twice, more only where earlier deals exceed the share.
    """
    total = contents * count
    low, high = 0.0, float((used + contents)[weights > 0].sum() / weights[weights > 0].min())
    for _ in range(100):
        level = (low + high) / 2
        enough = np.clip(level * weights - used, 0, contents).sum() >= total
        low, high = (low, level) if enough else (level, high)
    exact = np.clip(high * weights - used, 0, contents).round(6)
    uses = np.floor(exact).astype(np.int64)
    over, at_random = exact - uses, noise("rounding", seed, len(uses))
    up = np.lexsort((at_random, -over))[: total - int(uses.sum())]
    uses[up] += 1
    return uses


def _trade(dealt: np.ndarray, name: str, seed: int) -> None:
    """Contents meet in pairs, and styles that only one of the two has are divided between them at
    random: the curveball algorithm (Strona et al. 2014), which keeps every style's number of uses
    and makes all deals equally likely."""
    contents, count = dealt.shape
    order = np.argsort(noise(name, seed, contents), kind="stable")
    pairs = order[: contents // 2 * 2].reshape(-1, 2)
    rows = max(1, _AT_ONCE // (2 * count))
    for start in range(0, len(pairs), rows):
        part = pairs[start : start + rows]
        both = np.sort(dealt[part].reshape(len(part), 2 * count), axis=1)
        same = both[:, 1:] == both[:, :-1]
        # Each keeps a style that both have: one copy ranks first, the other last.
        rank = noise(f"{name} from {start}", seed, *both.shape) >> np.uint64(2)
        rank += np.uint64(2**62)
        rank[:, :-1][same] = 0
        rank[:, 1:][same] = np.uint64(2**64 - 1)
        both = np.take_along_axis(both, np.argsort(rank, axis=1), axis=1)
        dealt[part] = both.reshape(len(part), 2, count)
