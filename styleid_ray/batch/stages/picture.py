"""One picture, from its file's bytes to working size: the part of loading that runs in a child
process."""

from dataclasses import dataclass
from typing import Any

from PIL import Image

from styleid_ray.batch.stages import row_error
from styleid_ray.config import Fit
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode, decoding_memory, fit_picture
from styleid_ray.imaging.decode import Convert, has_frames
from styleid_ray.imaging.modes import to_rgb


@dataclass(frozen=True)
class Kind:
    """How pictures of one kind are read."""

    convert: Convert = to_rgb
    resampling: Image.Resampling | None = None
    """As in `fit_picture`."""


def memory_needed(data: bytes, max_pixels: int) -> int:
    """Peak bytes of `prepared`, judged by the header; 0 if it will fail."""
    try:
        return decoding_memory(data, max_pixels)
    except RowError:
        return 0


def prepared(
    data: bytes, max_pixels: int, size: int, fit: Fit, factor: int, name: str, kind: Kind
) -> dict[str, Any]:
    """The picture's columns of `PICTURES` except role and key: pixels and sizes, or the error. In
    addition, `frames` is whether the file has more frames than the one that was read.

    Args:
        data: the file's bytes.
        max_pixels: larger pictures are not decoded.
        size, fit, factor: as in `fit_picture`.
        name: the picture's name in an error.
    """
    try:
        image = decode(data, max_pixels, kind.convert)
        source_width, source_height = image.size
        image = fit_picture(image, size, fit, factor, kind.resampling)
    except RowError as e:
        return row_error.columns(e, name)
    return {
        "pixels": image.tobytes(),
        "width": image.width,
        "height": image.height,
        "source_width": source_width,
        "source_height": source_height,
        "frames": has_frames(data, max_pixels),
    }
