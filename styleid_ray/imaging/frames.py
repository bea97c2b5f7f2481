"""Whether a picture file holds more than one picture."""

from __future__ import annotations

import io

from PIL import Image

from styleid_ray.imaging.formats import picture_formats
from styleid_ray.imaging.guard import quiet_pillow

_ONE_PICTURE = {"MPO", "PSD"}
"""Formats whose further frames belong to the first: gain maps and depths of phones, layers."""
# Of TIFF: a page that is another one at reduced size, such as a thumbnail.
_SUBFILE, _REDUCED = 254, 1


def has_frames(data: bytes, max_pixels: int) -> bool:
    """Whether a picture file is animated or has several pages; `decode` gives the first.

    Args:
        data: the file's bytes, such as `decode` reads.
        max_pixels: as of `decode`.
    """
    try:
        with (
            quiet_pillow(max_pixels),
            Image.open(io.BytesIO(data), formats=picture_formats()) as image,
        ):
            if image.format in _ONE_PICTURE or not getattr(image, "is_animated", False):
                return False
            image.seek(1)
            tags = getattr(image, "tag_v2", {})
            return not tags.get(_SUBFILE, 0) & _REDUCED
    except Exception:  # damaged behind its first frame
        return False
