"""Pictures as the evaluation of the paper reads them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE = 512
"""Shorter side in pixels at which FID and LPIPS look at a picture; smaller ones are enlarged."""


def at_512(image: Image.Image) -> Image.Image:
    """The picture with a shorter side of 512 pixels, as torchvision's `Resize(512)` makes it."""
    width, height = image.size
    short = min(width, height)
    size = (SIDE * width // short, SIDE * height // short)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def as_tensor(image: Image.Image) -> Tensor:
    """Pixels [C, h, w] in [0, 1] of an RGB or a grey picture."""
    pixels = np.asarray(image, np.float32) / 255
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
