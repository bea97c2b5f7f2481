"""The pairs of one call: content, style and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from styleid_ray.config import ResolvedParams, StyleParams
from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import shown

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
    try:
        index = [(int(i), tuple(map(int, j if isinstance(j, Sequence) else [j]))) for i, j in pairs]
    except (TypeError, ValueError) as e:
        raise ConfigError(
            f"pairs is {shown(repr(pairs))[:80]}: use 'cross', 'zip' or a list of (content, style)"
        ) from e
    for i, js in index:
        if not (0 <= i < contents and js and all(0 <= j < styles for j in js)):
            which = ", ".join(map(str, (i, *js)))
            raise ConfigError(f"pair ({which}) is outside of {contents} contents, {styles} styles")
    return index


def check_mixes(
    index: Sequence[Index],
    shapes: Sequence[Sequence[int]],
    weights: Sequence[tuple[float, ...]] | None,
    shares: Sequence[Tensor] | None,
    strengths: Sequence[Tensor] | None,
) -> None:
    """Raises ConfigError if the styles of pairs cannot be joined as requested.

    Args:
        index: the pairs.
        shapes: of the contents' latents, [C, h, w].
        weights, shares, strengths: as in `StyleIDPipeline.transfer_latents`.
    """
    given = {"weights": weights, "shares": shares, "strengths": strengths}
    for what, values in given.items():
        if values is not None and len(values) != len(index):
            raise ConfigError(f"{len(values)} {what} for {len(index)} pairs: give one per pair")
    if weights is not None and shares is not None:
        raise ConfigError("weights and regions are two ways to join styles: give one of them")
    if weights is None and shares is None and any(len(styles) > 1 for _, styles in index):
        raise ConfigError("a pair of several styles needs weights, or regions for each style")
    for row, (content, styles) in enumerate(index):
        size = tuple(shapes[content][1:])
        each = weights[row] if weights is not None else None
        if each is not None and (
            len(each) != len(styles) or min(each) <= 0 or abs(sum(each) - 1) > 1e-4
        ):
            raise ConfigError(
                f"weights {each} for {len(styles)} styles: give one per style, above 0 and of sum 1"
            )
        if shares is not None and tuple(shares[row].shape) != (len(styles), *size):
            raise ConfigError(f"shares of a pair must be [{len(styles)}, {size[0]}, {size[1]}]")
        if strengths is not None and tuple(strengths[row].shape) != size:
            raise ConfigError(f"strengths of a pair must be [{size[0]}, {size[1]}]")


def checked(params: Sequence[StyleParams]) -> Sequence[StyleParams]:
    """`params` itself; raises ConfigError for anything else than StyleParams."""
    if isinstance(params, Sequence) and all(isinstance(p, StyleParams) for p in params):
        return params
    raise ConfigError(
        f"params is {shown(repr(params))[:80]}: give StyleParams(gamma=0.75, ...), or a list of "
        "one for each pair"
    )


def params_of_pairs(
    params: StyleParams | Sequence[StyleParams] | None,
    pairs: int,
    layers: tuple[int, ...] | None = None,
) -> list[ResolvedParams]:
    """The resolved parameters of each pair, with the model's own default layers, if any; raises
    ConfigError for differences other than γ and temperature."""
    if params is None or isinstance(params, StyleParams):
        return [(params or StyleParams()).resolved(layers)] * pairs
    each = [p.resolved(layers) for p in checked(params)]
    if len(each) != pairs:
        raise ConfigError(f"{len(each)} params for {pairs} pairs: give one, or one for each pair")
    excluded = {"gamma", "temperature"}
    if any(p.model_dump(exclude=excluded) != each[0].model_dump(exclude=excluded) for p in each):
        raise ConfigError("the params of one call may differ in gamma and temperature alone")
    return each
