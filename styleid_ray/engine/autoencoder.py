"""Pictures to latents and back, through a diffusers autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

NOT_FINITE = "the model gave values that are no numbers; try --dtype bfloat16 or float32"


def encode(vae: Any, pictures: Tensor) -> Tensor:
    """Latents [B, C, h, w] in float32 of pictures [B, 3, H, W] in [-1, 1].

    The mode of the posterior, not a draw from it, times the autoencoder's scaling factor.
    """
    out = vae.encode(pictures.to(vae.dtype))
    z = out.latent_dist.mode() if hasattr(out, "latent_dist") else out.latents
    return (z.float() - _shift(vae)) * vae.config.scaling_factor


def decode(vae: Any, z: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in [-1, 1], float32, of latents [B, C, h, w]."""
    z = z / vae.config.scaling_factor + _shift(vae)
    return vae.decode(z.to(vae.dtype), return_dict=False)[0].float().clamp(-1, 1)


def _shift(vae: Any) -> float:
    return getattr(vae.config, "shift_factor", None) or 0.0


def to_pixels(image: Image.Image) -> Tensor:
    """uint8 [H, W, 3] of a picture; modes other than RGB are converted."""
    return torch.from_numpy(np.array(image.convert("RGB")))


def from_pixels(pixels: Tensor) -> Tensor:
    """[B, 3, H, W] in [-1, 1] of uint8 [B, H, W, 3], on the device where they lie."""
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def quantised(pictures: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] of pictures [B, 3, H, W] in [-1, 1]."""
    return ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
