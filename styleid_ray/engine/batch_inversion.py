"""Inverting a batch by itself, all its features in hand: the paper's first stage alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.engine import ddim
from styleid_ray.engine.attention import QKV, attend, tapped
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.schedule import Step


@dataclass(frozen=True)
class BatchFeatures:
    """Q, K and V of a batch by (layer, timestep), each [B, heads, tokens, d]."""

    q: dict[tuple[int, int], Tensor]
    k: dict[tuple[int, int], Tensor]
    v: dict[tuple[int, int], Tensor]


@dataclass(frozen=True)
class BatchInversion:
    """What inverting a batch gives: z_T [B, C, h, w] and the features on the way."""

    z_T: Tensor
    features: BatchFeatures


def invert_batch(
    denoise: Denoiser, z0: Tensor, steps: Sequence[Step], layers: Sequence[int], most: int
) -> BatchInversion:
    """z_T and the features of clean latents z_0 [B, C, h, w], at most so many in a UNet call."""
    recorded: dict[str, dict[tuple[int, int], list[Tensor]]] = {
        name: defaultdict(list) for name in ("q", "k", "v")
    }
    ends: list[Tensor] = []
    with tapped(denoise.unet, layers) as tap:

        def recording(z: Tensor, t: int, a: float) -> Tensor:
            def kept(layer: int, qkv: QKV, scale: float) -> Tensor:
                for name in recorded:
                    recorded[name][layer, t].append(getattr(qkv, name).clone())
                return attend(layer, qkv, scale)

            tap.attend = kept
            return denoise(z, t, a)

        for batch in z0.split(most):
            ends.append(ddim.invert(recording, batch, steps))
    parts = (
        {key: torch.cat(batches) for key, batches in recorded[name].items()}
        for name in ("q", "k", "v")
    )
    return BatchInversion(torch.cat(ends), BatchFeatures(*parts))
