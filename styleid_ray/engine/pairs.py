"""The pairs of one call: their indices and parameters, checked, and their pictures, joined."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams, StyleParams
from styleid_ray.controls import Schedule, schedule
from styleid_ray.engine.layout import Role
from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import shown

Index = tuple[int, tuple[int, ...]]
"""(content, its styles)."""
Pairs = Literal["cross", "zip"] | Sequence[tuple[int, int] | Index]


@dataclass(frozen=True)
class Picture:
    """A clean latent z_0 [C, h, w] in a role; equal keys mean equal inversions."""

    key: Hashable
    z_0: Tensor
    role: Role
    path: bool = False
    """Whether its latents before each step are kept."""


@dataclass(frozen=True)
class Pair:
    """One content, its styles and how they are combined. Without styles the content is sampled
    unchanged."""

    content: Picture
    styles: tuple[Picture, ...]
    gamma: Schedule
    temperature: Schedule
    weights: tuple[float, ...] | None = None
    """Weights of several styles in one attention, of sum 1."""
    shares: Tensor | None = None
    """Each style's share of each position [styles, h, w], of sum 1, where styles have regions."""
    strength: Tensor | None = None
    """[h, w] in [0, 1]: the share 1 − strength follows the content's path."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures to invert, the content first."""
        return (self.content, *self.styles)


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


def check_weights(
    index: Sequence[Index], weights: Sequence[tuple[float, ...]] | None, regions: bool
) -> None:
    """Raises ConfigError if the styles of pairs cannot be joined by their weights, or by their
    `regions` if they have some."""
    if weights is None:
        if not regions and any(len(styles) > 1 for _, styles in index):
            raise ConfigError("a pair of several styles needs weights, or regions for each style")
        return
    if regions:
        raise ConfigError("weights and regions are two ways to join styles: give one of them")
    _check_number("weights", weights, index)
    for each, (_, styles) in zip(weights, index, strict=True):
        above = all(weight > 0 for weight in each)  # not of NaN
        if len(each) != len(styles) or not above or abs(sum(each) - 1) > 1e-4:
            raise ConfigError(
                f"weights {each} for {len(styles)} styles: give one per style, above 0 and of sum 1"
            )


def check_regions(
    index: Sequence[Index],
    shapes: Sequence[Sequence[int]],
    shares: Sequence[Tensor] | None,
    strengths: Sequence[Tensor] | None,
) -> None:
    """Raises ConfigError if regions of pairs do not cover the latents of their contents.

    Args:
        index: the pairs.
        shapes: of the contents' latents, [C, h, w].
        shares, strengths: as in `StyleIDPipeline.transfer_latents`.
    """
    _check_number("shares", shares, index)
    _check_number("strengths", strengths, index)
    for row, (content, styles) in enumerate(index):
        size = tuple(shapes[content][1:])
        if shares is not None and tuple(shares[row].shape) != (len(styles), *size):
            raise ConfigError(f"shares of a pair must be [{len(styles)}, {size[0]}, {size[1]}]")
        if strengths is not None and tuple(strengths[row].shape) != size:
            raise ConfigError(f"strengths of a pair must be [{size[0]}, {size[1]}]")


def _check_number(what: str, values: Sequence[object] | None, index: Sequence[Index]) -> None:
    if values is not None and len(values) != len(index):
        raise ConfigError(f"{len(values)} {what} for {len(index)} pairs: give one per pair")


def params_of_pairs(
    params: StyleParams | Sequence[StyleParams] | None,
    pairs: int,
    layers: tuple[int, ...] | None = None,
) -> list[ResolvedParams]:
    """The resolved parameters of each pair, with the model's own default layers, if any; raises
    ConfigError for differences other than γ and temperature."""
    if params is None or isinstance(params, StyleParams):
        return [(params or StyleParams()).resolved(layers)] * pairs
    if not (isinstance(params, Sequence) and all(isinstance(p, StyleParams) for p in params)):
        raise ConfigError(
            f"params is {shown(repr(params))[:80]}: give StyleParams(gamma=0.75, ...), or a list "
            "of one for each pair"
        )
    each = [p.resolved(layers) for p in params]
    if len(each) != pairs:
        raise ConfigError(f"{len(each)} params for {pairs} pairs: give one, or one for each pair")
    excluded = {"gamma", "temperature"}
    if any(p.model_dump(exclude=excluded) != each[0].model_dump(exclude=excluded) for p in each):
        raise ConfigError("the params of one call may differ in gamma and temperature alone")
    return each


def join(
    index: Sequence[Index],
    z_contents: Sequence[Tensor],
    z_styles: Sequence[Tensor],
    params: Sequence[ResolvedParams],
    keys: tuple[Sequence[str], Sequence[str]] | None,
    weights: Sequence[tuple[float, ...]] | None,
    shares: Sequence[Tensor] | None,
    strengths: Sequence[Tensor] | None,
) -> list[Pair]:
    """The pairs of a call, at least one. `params`: one per pair; the others are as in
    `StyleIDPipeline.transfer_latents`."""
    own = keys or (None, None)
    contents = _in_role("content", z_contents, own[0], params[0], path=bool(strengths))
    styles = _in_role("style", z_styles, own[1], params[0])
    return [
        Pair(
            contents[i],
            tuple(styles[j] for j in js) if p.uses_style else (),
            schedule(p.gamma),
            schedule(p.temperature),
            weights[row] if weights else None,
            shares[row] if shares else None,
            strengths[row] if strengths else None,
        )
        for row, ((i, js), p) in enumerate(zip(index, params, strict=True))
    ]


def _in_role(
    role: Role,
    latents: Sequence[Tensor],
    keys: Sequence[str] | None,
    params: ResolvedParams,
    path: bool = False,
) -> list[Picture]:
    """Clean latents as pictures, whose keys cover everything that their inversion depends on."""
    how = (params.paper_steps, params.steps, params.layers if params.inject else (), path)
    return [
        Picture((role, keys[i] if keys else i, tuple(z.shape), how), z, role, path)
        for i, z in enumerate(latents)
    ]


def stacked_shares(pairs: Sequence[Pair]) -> Tensor | None:
    """[styles, B, h, w]; None where pairs have one style, or none have regions."""
    shares = [pair.shares for pair in pairs if pair.shares is not None]
    return torch.stack(shares, 1) if shares and len(shares[0]) > 1 else None
