"""What an inverted picture takes in memory, from a UNet's configuration alone. Plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import ResolvedParams

_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_SCALE_BYTES = 2


@dataclass(frozen=True)
class PictureMemory:
    """Bytes that one inverted picture takes."""

    content: int
    """Features of a content: queries at each injected layer and step."""
    style: int
    """Features of a style: keys and values."""


def picture_memory(
    unet: Mapping[str, Any], latent: tuple[int, int], params: ResolvedParams, dtype: str
) -> PictureMemory:
    """Memory of one picture.

    A decoder layer l lies in block l // (layers_per_block + 1), which works on c channels at a
    resolution of n tokens: Q, K and V have n·c numbers each, at each step. Kept as int8, each token
    of each head has a float16 scale besides.

    Args:
        unet: the UNet's configuration (`block_out_channels`, `layers_per_block`,
            `attention_head_dim`).
        latent: height and width of the latent.
        params: layers and steps.
        dtype: precision of the features; not "auto".
    """
    height, width = latent
    channels: Sequence[int] = unet["block_out_channels"]
    heads = unet.get("num_attention_heads") or unet.get("attention_head_dim", 8)
    heads = list(heads) if isinstance(heads, Sequence) else [heads] * len(channels)
    depth = unet.get("layers_per_block", 2) + 1
    step = 0
    for layer in params.layers if params.inject else ():
        level = len(channels) - 1 - layer // depth
        tokens = (height >> level) * (width >> level)
        step += tokens * channels[level] * _ITEM_BYTES[dtype]
        step += tokens * heads[level] * _SCALE_BYTES if dtype == "int8" else 0
    features = step * params.steps
    return PictureMemory(features, 2 * features)
