"""The styles that are nearest to each content by their statistics, or farthest from it."""

import numpy as np

from styleid_ray.errors import SourceError
from styleid_ray.planning.choice import Choice, Indices
from styleid_ray.planning.draw import draw_styles
from styleid_ray.planning.statistics import Standard

_AT_ONCE = 2**22
"""Distances computed at a time, which bounds the memory."""
_CONTENTS = 2**14
"""Contents whose statistics are standardised at a time."""
_EXACT = 2**16
"""Distances computed at full precision at a time."""


def choose_similar(choice: Choice) -> Indices:
    """The K nearest styles of each content, or the K farthest.

    A content that cannot be read gets K styles by a hash of its key, and a style that cannot be
    read is not chosen.

    Raises:
        SourceError: there are fewer styles than K that can be read.
    """
    choice.check_count()
    assert choice.statistics is not None
    of_contents, of_styles = choice.statistics
    readable = np.flatnonzero(~np.isnan(of_styles[:, 0]))
    if choice.count > len(readable):
        raise SourceError(
            f"--styles-per-content {choice.count}: only {len(readable)} of {len(of_styles)} "
            f"pictures of --style can be read{choice.suffix}; repair them, or ask for fewer"
        )
    chosen = np.empty((len(of_contents), choice.count), np.int32)
    known = ~np.isnan(of_contents[:, 0])
    standard, farthest = Standard.of(of_styles[readable]), choice.config.pairing == "farthest"
    styles = standard(of_styles[readable])
    for start in range(0, len(chosen), _CONTENTS):
        own = start + np.flatnonzero(known[start : start + _CONTENTS])
        matches = closest(standard(of_contents[own]), styles, choice.count, farthest)
        chosen[own] = readable[matches]
    unknown = [choice.contents[int(i)] for i in np.flatnonzero(~known)]
    if unknown:
        chosen[~known] = readable[draw_styles(unknown, len(readable), choice.count, 0)]
    chosen.sort(axis=1)
    contents = np.repeat(np.arange(len(chosen), dtype=np.int32), choice.count)
    return contents, chosen.reshape(-1), None


def closest(
    contents: np.ndarray, styles: np.ndarray, count: int, farthest: bool = False
) -> np.ndarray:
    """The `count` styles at the least or the greatest Euclidean distance from each content.

    Args:
        contents: vectors [C, D].
        styles: vectors [S, D], at least `count`.

    Returns:
        int64 [C, count], the best first; of equally distant styles the first ones.
    """
    near = styles.astype(np.float32)
    squares = (near**2).sum(axis=1)
    rows = max(1, _AT_ONCE // len(styles))
    chosen = np.empty((len(contents), count), np.int64)
    for start in range(0, len(contents), rows):
        own = contents[start : start + rows].astype(np.float32)
        # |c - s|² without |c|², which is the same for all styles.
        distances = squares - 2 * own @ near.T
        if farthest:
            distances *= -1
        worst = np.partition(distances, count - 1, axis=1)[:, count - 1]
        # Rounding must not decide: candidates near the border are compared at full precision.
        slack = 1e-5 * ((own**2).sum(axis=1) + squares.max())
        c, s = np.nonzero(distances <= (worst + slack)[:, None])
        exact = _squares(contents, styles, start + c, s).round(9)
        order = np.lexsort((s, -exact if farthest else exact, c))
        firsts = np.searchsorted(c, np.arange(len(own)))
        chosen[start : start + rows] = s[order][firsts[:, None] + np.arange(count)]
    return chosen


def _squares(contents: np.ndarray, styles: np.ndarray, c: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Squared distances of contents c from styles s, float64 [N]."""
    squares = np.empty(len(c))
    for start in range(0, len(c), _EXACT):
        part = slice(start, start + _EXACT)
        squares[part] = ((contents[c[part]] - styles[s[part]]) ** 2).sum(axis=1)
    return squares
