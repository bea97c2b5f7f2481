"""From the bytes of any picture file to an upright 8-bit RGB picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from styleid_ray.errors import RowError
from styleid_ray.imaging.formats import picture_formats
from styleid_ray.imaging.guard import quiet_pillow
from styleid_ray.imaging.modes import to_rgb

_PIXEL_BYTES = 4
"""Bytes of a colour pixel in Pillow's memory. A plain picture is held twice while it is rotated;
profiles, palettes, transparency and deep colours take further copies."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


Convert = Callable[[Image.Image], Image.Image]
"""A loaded picture of any mode as one of the mode that is wanted, or RowError."""


def decode(
    data: bytes, max_pixels: int, convert: Convert = to_rgb, draft: int | None = None
) -> Image.Image:
    """Decode a picture file to an RGB picture, upright, in sRGB, with transparency over white.

    Grey, palette, CMYK, 16-bit and float pictures become 8-bit RGB; animated files give their
    first frame; an embedded colour profile is applied where it can be, a broken one ignored.

    Args:
        data: the file's bytes, in any picture format that Pillow reads.
        max_pixels: the most pixels (width x height) that are decoded; checked on the header.
        convert: gives another kind of picture than RGB.
        draft: pixels that each side needs at least; a JPEG may be decoded smaller than it is.

    Raises:
        RowError: stage "decode", for everything that keeps the picture from being read.
    """
    with _opened(data, max_pixels) as image:
        if draft:
            image.draft("RGB", (draft, draft))
        image.load()
        _check_size(image, max_pixels)  # icon files have their real size only now
        return _upright(image, convert(image))


def decoding_memory(data: bytes, max_pixels: int) -> int:
    """Bytes that decoding a picture file takes at most at a time, about, judged by its header.

    Raises:
        RowError: as `decode`, for what the header already shows.
    """
    with _opened(data, max_pixels) as image:
        plain = image.mode in ("RGB", "L") and "icc_profile" not in image.info
        return image.width * image.height * _PIXEL_BYTES * (2 if plain else 4)


def upright_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels of a picture file as `decode` gives it, by its header.

    Raises:
        RowError: as `decode`, for what the header already shows.
    """
    with _opened(data, max_pixels) as image:
        turned = _orientation(image) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else image.size


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The picture with its header read; everything that goes wrong within becomes a RowError."""
    if not data:
        raise RowError("decode", "the file is empty (0 bytes)")
    with quiet_pillow(max_pixels):
        try:
            with Image.open(io.BytesIO(data), formats=picture_formats()) as image:
                _check_size(image, max_pixels)
                yield image
        except RowError:
            raise
        except UnidentifiedImageError:
            raise RowError("decode", "not a picture in any format that can be read") from None
        except Image.DecompressionBombError:
            raise RowError(
                "decode", f"too large: more than {max_pixels} pixels (--max-pixels)"
            ) from None
        except MemoryError:
            raise RowError("decode", "too large for the memory at hand") from None
        except Exception as error:  # damaged files make decoders raise nearly anything
            raise RowError("decode", _describe(error)) from error


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise RowError("decode", f"the picture has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise RowError(
            "decode",
            f"too large: {width} x {height} is more than {max_pixels} pixels (--max-pixels)",
        )


def _upright(image: Image.Image, converted: Image.Image) -> Image.Image:
    # Read after load(): TIFF is turned by Pillow itself, which then drops the tag.
    turn = _UPRIGHT.get(_orientation(image))
    return converted if turn is None else converted.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata says nothing about the pixels
        return 1
    return orientation if isinstance(orientation, int) else 1


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "the picture is cut off (truncated file)"
    return f"the picture is damaged: {text or type(error).__name__}"[:300]
