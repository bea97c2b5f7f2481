"""Which content meets which style in one call, and with what parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from styleid_ray.config import ResolvedParams, StyleParams
from styleid_ray.errors import ConfigError

Pairs = Literal["cross", "zip"] | Sequence[tuple[int, int]]


def resolve_pairs(pairs: Pairs, contents: int, styles: int) -> list[tuple[int, int]]:
    """The pairs as (content index, style index); raises ConfigError for an index out of range."""
    if pairs == "cross":
        return [(i, j) for i in range(contents) for j in range(styles)]
    if pairs == "zip":
        if contents != styles:
            raise ConfigError(
                f"pairs 'zip' needs as many contents ({contents}) as styles ({styles})"
            )
        return [(i, i) for i in range(contents)]
    if isinstance(pairs, str):
        raise ConfigError(f"pairs is {pairs!r}: use 'cross', 'zip' or a list of (content, style)")
    index = [(int(i), int(j)) for i, j in pairs]
    for i, j in index:
        if not (0 <= i < contents and 0 <= j < styles):
            raise ConfigError(f"pair ({i}, {j}) is outside of {contents} contents, {styles} styles")
    return index


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
