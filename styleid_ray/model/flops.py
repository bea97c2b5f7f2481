"""Arithmetic of one UNet evaluation, counted on a UNet without weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_TOKENS = 77
"""Length of CLIP's text embedding."""


def evaluation_flops(unet: Mapping[str, Any], height: int, width: int) -> int:
    """Floating-point operations of one UNet forward for one latent: its matrix products,
    convolutions and attention.

    Args:
        unet: configuration as diffusers stores it.
        height, width: of the latent.
    """
    return _count(json.dumps(dict(unet), sort_keys=True), height, width)


@lru_cache
def _count(unet: str, height: int, width: int) -> int:
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model: Any = UNet2DConditionModel.from_config(json.loads(unet))
        latent = torch.empty(1, model.config.in_channels, height, width)
        text = torch.empty(1, _TOKENS, model.config.cross_attention_dim)
        model(latent, torch.tensor(1), encoder_hidden_states=text)
        return counter.get_total_flops()
