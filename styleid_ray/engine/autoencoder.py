"""Pictures to latents and back, through a diffusers autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from styleid_ray.errors import RowError

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


def to_tensor(image: Image.Image) -> Tensor:
    """[3, H, W] in [-1, 1] of a picture; modes other than RGB are converted."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1


def to_image(picture: Tensor) -> Image.Image:
    """The picture of a tensor [3, H, W] in [-1, 1].

    Raises RowError, stage "stylize", when values are no numbers: a model out of its range.
    """
    if not bool(torch.isfinite(picture).all()):
        raise RowError("stylize", NOT_FINITE)
    pixels = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(pixels.cpu().numpy())
