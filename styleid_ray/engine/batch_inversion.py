"""Inversion of a batch alone, with all its features kept: the paper's first stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.schedule import Step
from styleid_ray.engine.styleid import Features, invert


@dataclass(frozen=True)
class BatchFeatures:
    """Q, K and V of a batch by (layer, timestep), each [B, heads, tokens, d]."""

    q: dict[tuple[int, int], Tensor]
    k: dict[tuple[int, int], Tensor]
    v: dict[tuple[int, int], Tensor]


@dataclass(frozen=True)
class BatchInversion:
    """Result of inverting a batch: z_T [B, C, h, w] and the features on the way."""

    z_T: Tensor
    features: BatchFeatures


def invert_batch(
    denoise: Denoiser, z_0: Tensor, steps: Sequence[Step], layers: Sequence[int], most: int
) -> BatchInversion:
    """z_T and the features of clean latents [B, C, h, w], at most `most` in a UNet call."""
    recorded: defaultdict[tuple[str, int, int], list[Tensor]] = defaultdict(list)

    def keep(i: int, features: Features) -> None:
        for (name, layer), x in features.items():
            recorded[name, layer, steps[i].t].append(x.clone())

    with denoise.tapped(layers):
        z_T = torch.cat([invert(denoise, batch, steps, keep) for batch in z_0.split(most)])
    whole = {key: torch.cat(batches) for key, batches in recorded.items()}
    q, k, v = ({key[1:]: x for key, x in whole.items() if key[0] == name} for name in "qkv")
    return BatchInversion(z_T, BatchFeatures(q, k, v))
