"""Pictures as the paper's evaluation reads them."""

from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from styleid_ray.errors import RowError

SIDE = 512
"""Shorter side in pixels of a picture for FID and LPIPS; smaller pictures are enlarged."""
_SHORTEST, _MOST_OBLONG = 8, 16


@dataclass(frozen=True)
class Result:
    """One stylised picture."""

    content: str
    """Key of its content."""
    style: str
    picture: Image.Image | RowError
    """RGB, or the reason why it cannot be read."""
    pair_id: str | None = None
    """Id of a run's pair."""
    places: dict[str, str] = field(default_factory=dict)
    """Places in a larger file, by "content" and "style"."""


def check_measurable(image: Image.Image) -> None:
    """Refuses pictures that the networks cannot measure.

    Raises:
        RowError: a side is below 8 pixels, or the picture is more oblong than 16 : 1.
    """
    short, long = sorted(image.size)
    size = f"{image.width} x {image.height} pixels"
    if short < _SHORTEST:
        raise RowError("decode", f"{size}: too small to be measured")
    if long > _MOST_OBLONG * short:
        raise RowError("decode", f"{size}: too oblong to be measured")


def at_512(image: Image.Image) -> Image.Image:
    """The picture with a shorter side of 512 pixels, as by torchvision's `Resize(512)`."""
    width, height = image.size
    short = min(width, height)
    size = (SIDE * width // short, SIDE * height // short)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def as_tensor(image: Image.Image) -> Tensor:
    """Pixels [C, h, w] in [0, 1] of an RGB or grey picture."""
    pixels = np.asarray(image, np.float32) / 255
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
