"""Which content meets which style in one call, and with what parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from styleid_ray.config import ResolvedParams, StyleParams
from styleid_ray.errors import ConfigError

Index = tuple[int, tuple[int, ...]]
"""(content, its styles)."""
Pairs = Literal["cross", "zip"] | Sequence[tuple[int, int] | Index]


def resolve_pairs(pairs: Pairs, contents: int, styles: int) -> list[Index]:
    """The pairs as (content index, style indices); raises ConfigError for an index out of range."""
    if pairs == "cross":
        return [(i, (j,)) for i in range(contents) for j in range(styles)]
    if pairs == "zip":
        if contents != styles:
            raise ConfigError(
                f"pairs 'zip' needs as many contents ({contents}) as styles ({styles})"
            )
        return [(i, (i,)) for i in range(contents)]
    if isinstance(pairs, str):
        raise ConfigError(f"pairs is {pairs!r}: use 'cross', 'zip' or a list of (content, style)")
    index = [(int(i), tuple(j) if isinstance(j, Sequence) else (int(j),)) for i, j in pairs]
    for i, js in index:
        if not (0 <= i < contents and js and all(0 <= j < styles for j in js)):
            which = ", ".join(map(str, (i, *js)))
            raise ConfigError(f"pair ({which}) is outside of {contents} contents, {styles} styles")
    return index


def check_mixes(
    index: Sequence[Index],
    weights: Sequence[tuple[float, ...]] | None,
    regions: Sequence[object] | None,
) -> None:
    """Raises ConfigError where pairs of several styles lack what joins these: weights, or regions
    of the picture."""
    for given, what in ((weights, "weights"), (regions, "shares")):
        if given is not None and len(given) != len(index):
            raise ConfigError(f"{len(given)} {what} for {len(index)} pairs: give one per pair")
    if weights is None and regions is None and any(len(styles) > 1 for _, styles in index):
        raise ConfigError("a pair of several styles needs weights, or regions for each style")
    for (_, styles), each in zip(index, weights or (), strict=False):
        if len(each) != len(styles) or min(each) <= 0 or abs(sum(each) - 1) > 1e-4:
            raise ConfigError(
                f"weights {each} for {len(styles)} styles: give one per style, above 0 and of sum 1"
            )


def params_of_pairs(
    params: StyleParams | Sequence[StyleParams] | None, pairs: int
) -> list[ResolvedParams]:
    """The resolved parameters of each pair; raises ConfigError when they differ in too much."""
    if params is None or isinstance(params, StyleParams):
        return [(params or StyleParams()).resolved()] * pairs
    each = [p.resolved() for p in params]
    if len(each) != pairs:
        raise ConfigError(f"{len(each)} params for {pairs} pairs: give one, or one for each pair")
    excluded = {"gamma", "temperature"}
    if any(p.model_dump(exclude=excluded) != each[0].model_dump(exclude=excluded) for p in each):
        raise ConfigError("the params of one call may differ in gamma and temperature alone")
    return each
