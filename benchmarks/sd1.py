"""A model of Stable Diffusion 1.x's architecture with random weights: speed, memory and arithmetic
do not depend on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.utils import logging
from PIL import Image
from torch import Tensor

TOKENS, EMBEDDING = 77, 768
"""Shape of the text encoder's output."""
CHANNELS = 4
"""Of a latent, which is an eighth of its picture's width and height."""


def build_parts(device: torch.device, dtype: torch.dtype, width: int = 320) -> dict[str, Any]:
    """unet, scheduler, null_embedding and vae, as `StyleIDPipeline` takes them.

    `width` is the number of channels of the UNet's first block; the autoencoder's has 0.4 times as
    many.
    """
    torch.manual_seed(0)
    logging.set_verbosity_error()
    narrow = 2 * width // 5
    autoencoder: Any = AutoencoderKL  # its annotations say one block where it takes several
    # Made where they are used, in their precision: tensors that only pretend cannot be moved.
    with device, _default_dtype(dtype):
        unet: Any = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(width, 2 * width, 4 * width, 4 * width),
            cross_attention_dim=EMBEDDING,
            attention_head_dim=8,  # diffusers' name for the number of heads
            norm_num_groups=min(32, width // 4),
        )
        vae = autoencoder(
            block_out_channels=(narrow, 2 * narrow, 4 * narrow, 4 * narrow),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            norm_num_groups=min(32, narrow),
            scaling_factor=0.18215,
        )
    for part in (unet, vae):
        part.requires_grad_(False).eval()
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False
    )
    null = torch.randn(1, TOKENS, EMBEDDING)
    return {"unet": unet, "scheduler": scheduler, "null_embedding": null, "vae": vae}


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    own = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(own)


def draw_latents(count: int, size: int, device: torch.device) -> Tensor:
    """Random latents [count, 4, size/8, size/8] of pictures of `size` pixels a side."""
    return torch.randn(count, CHANNELS, size // 8, size // 8, device=device)


def draw_pictures(count: int, size: int) -> list[Image.Image]:
    """New pictures of random pixels at every call."""
    pixels = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)
    return [Image.fromarray(picture) for picture in pixels.numpy()]
