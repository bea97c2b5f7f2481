"""A small version of a picture file, as fast as its format allows."""

from __future__ import annotations

from PIL import Image

from styleid_ray.imaging.decode import decode
from styleid_ray.imaging.modes import to_rgb

_LEAST = 4


def thumbnail(data: bytes, max_pixels: int, side: int) -> Image.Image:
    """Decode a picture file as `decode` does, to a picture whose longer side is `side` pixels.

    A JPEG is decoded at a fraction of its size. The shorter side has 4 pixels at least.

    Args:
        data: the file's bytes.
        max_pixels: the most pixels (width x height) of the file's picture.
        side: pixels.

    Raises:
        RowError: as `decode`.
    """

    def small(image: Image.Image) -> Image.Image:
        longer = max(image.size)
        size = [max(_LEAST, round(own * side / longer)) for own in image.size]
        return to_rgb(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0)

    return decode(data, max_pixels, small, draft=side)
