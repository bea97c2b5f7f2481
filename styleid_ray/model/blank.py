"""Parts of a model without weights, on the meta device, where a forward computes shapes alone and
counts FLOPs."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from styleid_ray.model.description import TIME_IDS, TOKENS, describe


def text_of(config: Mapping[str, Any]) -> str:
    """A part's configuration as text, a key of caches."""
    return json.dumps(dict(config), sort_keys=True)


@lru_cache(maxsize=4)
def blank(part: str, dtype: str = "float32") -> Any:
    """A part of a model in a precision.

    Args:
        part: its configuration as diffusers stores it, by `text_of`.
        dtype: name of a floating-point type of PyTorch.
    """
    import diffusers
    import torch

    config = json.loads(part)
    build = getattr(diffusers, config.get("_class_name", "UNet2DConditionModel"))
    with torch.device("meta"):
        model = build.from_config(config)
    # The base class's method: diffusers' own warns to load weights in their precision.
    return torch.nn.Module.to(model, getattr(torch, dtype)).requires_grad_(False).eval()


def evaluate(unet: str, height: int, width: int, dtype: str = "float32", batch: int = 1) -> object:
    """One call of a blank UNet on `batch` latents of a height and width."""
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    model = blank(unet, dtype)
    kind = describe(model.config)
    numbers: dict[str, Any] = {"device": "meta", "dtype": getattr(torch, dtype)}
    latents = torch.empty(batch, kind.latent_channels, height, width, **numbers)
    given: dict[str, Any] = {}
    if isinstance(model, UNet2DConditionModel):
        prompt = torch.empty(batch, TOKENS, kind.text_width, **numbers)
        given["encoder_hidden_states"] = prompt if kind.text_width else None
    if kind.pooled_width:
        given["added_cond_kwargs"] = {
            "text_embeds": torch.empty(batch, kind.pooled_width, **numbers),
            "time_ids": torch.empty(batch, TIME_IDS, **numbers),
        }
    return model(latents, torch.tensor(1), **given)


def evaluation_flops(unet: Mapping[str, Any], height: int, width: int) -> int:
    """Floating-point operations of one UNet forward for one latent: its matrix products,
    convolutions and attention.

    Args:
        unet: configuration as diffusers stores it.
        height, width: of the latent.
    """
    return _flops(text_of(unet), height, width)


@lru_cache
def _flops(unet: str, height: int, width: int) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        evaluate(unet, height, width)
        return counter.get_total_flops()
