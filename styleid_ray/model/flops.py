"""Arithmetic of one UNet evaluation, counted on a UNet without weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from styleid_ray.model.blank import evaluate, text_of


def evaluation_flops(unet: Mapping[str, Any], height: int, width: int) -> int:
    """Floating-point operations of one UNet forward for one latent: its matrix products,
    convolutions and attention.

    Args:
        unet: configuration as diffusers stores it.
        height, width: of the latent.
    """
    return _count(text_of(unet), height, width)


@lru_cache
def _count(unet: str, height: int, width: int) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        evaluate(unet, height, width)
        return counter.get_total_flops()
