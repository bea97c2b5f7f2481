"""What an inverted picture takes in memory, from a UNet's configuration alone. Plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import ResolvedParams

_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_SCALE_BYTES = 2
_LATENT_BYTES = 4


@dataclass(frozen=True)
class PictureMemory:
    """Bytes that one inverted picture takes."""

    content: int
    """Features of a content: queries at each injected layer and step."""
    style: int
    """Features of a style: keys and values."""
    trajectory: int
    """The latents at each step, from which features can be computed anew."""


def pinned_size(nbytes: int) -> int:
    """Bytes of pinned host memory that PyTorch takes for so many: the next power of two."""
    return 1 << (nbytes - 1).bit_length() if nbytes > 0 else 0


def in_pinned_memory(picture: PictureMemory, steps: int) -> PictureMemory:
    """The same where features lie in pinned host memory, in one piece a step."""
    content, style = (
        steps * pinned_size(size // steps) for size in (picture.content, picture.style)
    )
    return PictureMemory(content, style, picture.trajectory)


def picture_memory(
    unet: Mapping[str, Any], latent: tuple[int, int], params: ResolvedParams, dtype: str
) -> PictureMemory:
    """Memory of one picture.

    A decoder layer l lies in block l // (layers_per_block + 1), which works on c channels at a
    resolution of n tokens: Q, K and V have n·c numbers each, at each step. Kept as int8, each token
    of each head has a float16 scale besides.

    Args:
        unet: the UNet's configuration (`block_out_channels`, `layers_per_block`,
            `attention_head_dim`, `in_channels`).
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
    latents = height * width * unet.get("in_channels", 4) * _LATENT_BYTES * params.steps
    return PictureMemory(features, 2 * features, latents if params.inject else 0)
