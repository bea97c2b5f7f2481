"""The quality measures of a run (`quality.pixels`) on single pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from PIL import Image

from styleid_ray.engine.pictures import to_pixels
from styleid_ray.quality.columns import PIXEL_MEASURES
from styleid_ray.quality.pixels import measure, palette, small

Measures = Mapping[str, float | None]
"""By name, `structure` first; None where a measure has no meaning."""


def measures(
    result: Image.Image, content: Image.Image, style: Image.Image, structure: float | None
) -> Measures:
    """Measures of an RGB result of its content's size.

    Args:
        result, content, style: the pictures.
        structure: `engine.structure.kept_structure` of the result, None without injection.
    """
    x, c, s = (to_pixels(picture)[None] for picture in (result, content, style))
    with torch.no_grad():
        values = measure(x, c, list(palette(small(s))))[0].tolist()
    named = {"structure": structure, **dict(zip(PIXEL_MEASURES, values, strict=True))}
    return {
        name: None if value is None or math.isnan(value) else value for name, value in named.items()
    }
