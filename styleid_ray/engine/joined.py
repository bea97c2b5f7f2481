"""Pictures in a role, and how a pair joins them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.controls import Schedule
from styleid_ray.engine.layout import Role


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
        """Those that have to be inverted."""
        return (self.content, *self.styles)


def stacked_shares(pairs: Sequence[Pair]) -> Tensor | None:
    """[styles, B, h, w]; None where pairs have one style, or none have regions."""
    shares = [pair.shares for pair in pairs if pair.shares is not None]
    return torch.stack(shares, 1) if shares and len(shares[0]) > 1 else None
