"""Pictures in a role, and how a pair joins them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.controls import Schedule, schedule
from styleid_ray.engine.layout import Role
from styleid_ray.engine.pairs import Index


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
    """Pictures and how to join them. Without a style the content is sampled unchanged."""

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


def in_role(
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


def join(
    index: Sequence[Index],
    contents: Sequence[Picture],
    styles: Sequence[Picture],
    params: Sequence[ResolvedParams],
    weights: Sequence[tuple[float, ...]] | None,
    shares: Sequence[Tensor] | None,
    strengths: Sequence[Tensor] | None,
) -> list[Pair]:
    """The pairs of a call; all but `contents` and `styles` have one entry per pair."""
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


def stacked_shares(pairs: Sequence[Pair]) -> Tensor | None:
    """[styles, B, h, w]; None where pairs have one style, or none have regions."""
    shares = [pair.shares for pair in pairs if pair.shares is not None]
    return torch.stack(shares, 1) if shares and len(shares[0]) > 1 else None
