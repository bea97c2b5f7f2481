"""Every pixel format that Pillow knows, converted to 8-bit sRGB without transparency."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_BLOCK = 2**18
_WHITE = (255, 255, 255)
_PROFILE_SPACE = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as a new one of mode RGB, transparency over white."""
    profile = image.info.get("icc_profile")
    picture, alpha = _split(image)
    picture = _to_srgb(picture, profile)
    if alpha is None:
        return picture
    paper = Image.new("RGB", picture.size, _WHITE)
    paper.paste(picture, mask=alpha)
    return paper


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours (mode RGB, L, CMYK or LAB), and the alpha channel (mode L) if there is one."""
    mode, transparent = image.mode, image.info.get("transparency")
    if mode in ("RGBa", "La"):
        image = image.convert("RGBA" if mode == "RGBa" else "LA")
        mode = image.mode
    if mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if mode in ("RGBA", "PA") or (mode in ("1", "L", "P", "RGB") and transparent is not None):
        whole = image.convert("RGBA")
        return whole.convert("RGB"), whole.getchannel("A")
    if mode in ("RGB", "L", "CMYK", "LAB"):
        return image, None
    if mode == "1":
        return image.convert("L"), None
    if mode in ("I", "F") or mode.startswith("I;16"):
        values = np.asarray(image)
        mask = None
        if isinstance(transparent, int) and mode != "F":
            mask = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
        return Image.fromarray(to_8_bit(values, mode)), mask
    return image.convert("RGB"), None


def to_8_bit(values: np.ndarray, mode: str) -> np.ndarray:
    """Deep grey, shape (h, w), to uint8.

    16-bit pictures are scaled by their full range, never clipped. 32-bit and float pictures do not
    define white: values within 0..1 (floats), 0..255 or 0..65535 are scaled by that range, any
    others from their least to their greatest value.
    """
    low, high = (0.0, 65535.0) if mode.startswith("I;16") else _range(values, mode)
    grey = np.empty(values.shape, np.uint8)
    for rows, block in _blocks(values):
        grey[rows] = np.rint((np.clip(block, low, high) - low) * (255.0 / ((high - low) or 1.0)))
    return grey


def _range(values: np.ndarray, mode: str) -> tuple[float, float]:
    """The values of black and white."""
    finite = (block[np.isfinite(block)] for _, block in _blocks(values))
    ends = [(float(block.min()), float(block.max())) for block in finite if block.size]
    low, high = min((e[0] for e in ends), default=0.0), max((e[1] for e in ends), default=0.0)
    if low < 0 or high > 65535:
        return low, high
    ranges = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    return 0.0, next(top for top in ranges if high <= top)


def _blocks(values: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of a picture as float64, a few at a time: the whole would take ten times the memory
    of an RGB picture."""
    height = max(1, _BLOCK // values.shape[1])
    for top in range(0, values.shape[0], height):
        rows = slice(top, top + height)
        block = values[rows].astype(np.float64)
        yield rows, np.nan_to_num(block, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            return _apply_profile(picture, profile)
        except Exception:  # an unusable profile counts as none
            pass
    if picture.mode == "LAB":
        return _transform(picture, ImageCms.createProfile("LAB"))
    return picture.convert("RGB")


def _apply_profile(picture: Image.Image, data: bytes) -> Image.Image:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    core: Any = profile.profile
    space = core.xcolor_space.strip()
    if _PROFILE_SPACE.get(picture.mode) != space:
        if space != "RGB" or picture.mode != "L":
            raise ImageCms.PyCMSError(f"a profile for {space} on a picture in {picture.mode}")
        picture = picture.convert("RGB")
    if space == "RGB" and "sRGB" in (core.profile_description or ""):
        return picture.convert("RGB")
    return _transform(picture, profile)


def _transform(picture: Image.Image, profile: Any) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, profile, srgb, outputMode="RGB")
    assert converted is not None  # only None when working in place
    return converted
