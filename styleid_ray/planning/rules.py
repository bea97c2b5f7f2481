"""The rule of each pairing: which indices of contents and styles make the pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from styleid_ray.config import Pairing
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.planning.balanced import balance
from styleid_ray.planning.by_class import draw_by_class
from styleid_ray.planning.choice import Choice, Indices
from styleid_ray.planning.draw import draw_shared_styles, draw_styles, draw_weighted_styles
from styleid_ray.planning.similar import choose_similar


def _cross(choice: Choice) -> Indices:
    contents, styles = len(choice.contents), len(choice.styles)
    c = np.repeat(np.arange(contents, dtype=np.int32), styles)
    return c, np.tile(np.arange(styles, dtype=np.int32), contents), None


def _zip(choice: Choice) -> Indices:
    contents, styles = len(choice.contents), len(choice.styles)
    if contents != styles:
        raise SourceError(
            f"--pairing zip needs as many contents as styles, but --content has {contents} "
            f"pictures and --style has {styles}; even them out, or use --pairing cross, "
            "random or table"
        )
    both = np.arange(contents, dtype=np.int32)
    return both, both, None


def _random(choice: Choice) -> Indices:
    choice.check_count()
    if choice.config.reuse and choice.weights is not None:
        raise ConfigError(
            "--style-weights has no effect with --reuse, whose groups share styles: leave one of "
            "them out"
        )
    count, seed, groups = choice.count, choice.config.seed, None
    c = np.repeat(np.arange(len(choice.contents), dtype=np.int32), count)
    if choice.config.reuse:
        drawn, groups = draw_shared_styles(choice.contents, len(choice.styles), count, seed)
    elif choice.weights is not None:
        drawn = draw_weighted_styles(choice.contents, choice.styles, choice.weights, count, seed)
    else:
        drawn = draw_styles(choice.contents, len(choice.styles), count, seed)
    return c, drawn.reshape(-1), groups


RULES: dict[Pairing, Callable[[Choice], Indices]] = {
    "cross": _cross,
    "zip": _zip,
    "random": _random,
    "balanced": balance,
    "by-class": draw_by_class,
    "nearest": choose_similar,
    "farthest": choose_similar,
}
"""Each pairing but `table` by its name."""
