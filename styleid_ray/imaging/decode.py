"""The bytes of any picture file decoded to an upright 8-bit RGB picture, or to a small one."""

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
colour profiles, palettes, transparency and more than 8 bits need further copies."""
_LEAST_SIDE = 4
_ONE_PICTURE = {"MPO", "PSD"}
"""Formats whose further frames belong to the first: gain maps and depths of phones, layers."""
_SUBFILE, _REDUCED = 254, 1
"""The tag of a TIFF page, and its bit for a smaller copy of another page, such as a thumbnail."""
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
"""Converts a loaded picture of any mode, or raises RowError."""


def decode(
    data: bytes, max_pixels: int, convert: Convert = to_rgb, draft: int | None = None
) -> Image.Image:
    """Decode a picture file to an RGB picture, upright, in sRGB, with transparency over white.

    Grey, palette, CMYK, 16-bit and float pictures become 8-bit RGB. Animated files give their
    first frame. An embedded colour profile is applied; one that cannot be used is ignored.

    Args:
        data: the file's bytes, in any picture format that Pillow reads.
        max_pixels: the most pixels (width x height) that are decoded, checked on the header.
        convert: produces another kind of picture than RGB.
        draft: the least pixels per side; a JPEG may be decoded at a fraction of its size.

    Raises:
        RowError: stage "decode", for any reason that the picture cannot be read.
    """
    with _opened(data, max_pixels) as image:
        if draft:
            image.draft("RGB", (draft, draft))
        image.load()
        _check_size(image, max_pixels)  # icon files have their real size only after loading
        return upright(image, convert(image))


def thumbnail(data: bytes, max_pixels: int, side: int) -> Image.Image:
    """Decode a picture file as `decode` does, to a picture whose longer side is `side` pixels.

    A JPEG is decoded at a fraction of its size. The shorter side has at least 4 pixels.
    """

    def small(image: Image.Image) -> Image.Image:
        longer = max(image.size)
        size = [max(_LEAST_SIDE, round(own * side / longer)) for own in image.size]
        return to_rgb(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0)

    return decode(data, max_pixels, small, draft=side)


def decoding_memory(data: bytes, max_pixels: int) -> int:
    """About how many bytes decoding a picture file takes at its peak, by its header; raises as
    `decode` for faults that the header shows."""
    with _opened(data, max_pixels) as image:
        plain = image.mode in ("RGB", "L") and "icc_profile" not in image.info
        return image.width * image.height * _PIXEL_BYTES * (2 if plain else 4)


def upright_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels of the picture that `decode` returns, by the file's header; raises
    as `decode` for faults that the header shows."""
    with _opened(data, max_pixels) as image:
        turned = _orientation(image) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else image.size


def has_frames(data: bytes, max_pixels: int) -> bool:
    """Whether a picture file that `decode` reads is animated or has several pages."""
    try:
        with _opened(data, max_pixels) as image:
            if image.format in _ONE_PICTURE or not getattr(image, "is_animated", False):
                return False
            image.seek(1)
            tags = getattr(image, "tag_v2", {})
            return not tags.get(_SUBFILE, 0) & _REDUCED
    except RowError:  # damaged after its first frame
        return False


def upright(image: Image.Image, converted: Image.Image) -> Image.Image:
    """A picture converted from a loaded one, rotated by the EXIF orientation of that one. A rotated
    picture has no metadata, so that it is not rotated twice."""
    # After load(), since Pillow itself turns a TIFF and then drops the tag.
    turn = _UPRIGHT.get(_orientation(image))
    if turn is None:
        return converted
    turned = converted.transpose(turn)
    turned.info.clear()
    return turned


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The picture with its header read; any error in the block becomes a RowError."""
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
