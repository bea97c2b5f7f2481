"""Pictures whose pixels are numbers: strength masks and label maps."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from styleid_ray.errors import RowError
from styleid_ray.imaging.modes import to_8_bit

_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


def to_strength(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as strengths, mode L: 0 is black, 255 white.

    Colours and palettes count by their luma, 16-bit pictures by their full range; transparent
    pixels are black.

    Raises:
        RowError: stage "decode", for a mask of 0 and 1 in 8 bits, which looks all black.
    """
    grey = _grey(image)
    if image.mode != "1" and grey.getextrema()[1] == 1:
        raise RowError(
            "decode",
            "its values are 0 and 1: a strength mask goes from 0 (content) to 255 (style); "
            "multiply it by 255",
        )
    return grey


def to_regions(image: Image.Image, regions: Mapping[int, int]) -> Image.Image:
    """A loaded label map as region numbers, mode L.

    Args:
        image: one class number per pixel, as grey of 1 to 32 bits or as palette index. RGB with
            equal channels counts as grey.
        regions: the region of each class, 1 to 255; all other classes get 0.

    Raises:
        RowError: stage "decode", for a picture of colours or fractions.
    """
    classes = _classes(image)
    numbers = np.zeros(classes.shape, np.uint8)
    for name, region in regions.items():
        numbers[classes == name] = region
    return Image.fromarray(numbers)


def _grey(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        return Image.fromarray(to_8_bit(np.asarray(image), mode))
    if mode in _TRANSPARENT or image.info.get("transparency") is not None:
        picture = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, picture).convert("L")
    return (image if mode in ("1", "L") else image.convert("RGB")).convert("L")


def _classes(image: Image.Image) -> np.ndarray:
    """Class numbers [h, w] of a label map."""
    mode = image.mode
    if mode in ("1", "L", "P", "I") or mode.startswith("I;16"):
        return np.asarray(image)
    if mode in ("LA", "La", "PA"):
        return np.asarray(image)[..., 0]
    if mode in ("RGB", "RGBA"):
        red, green, blue = (np.asarray(image.getchannel(name)) for name in "RGB")
        if np.array_equal(red, green) and np.array_equal(red, blue):
            return red
    if mode == "F":
        raise RowError(
            "decode", "its values are fractions: save class numbers as 8- or 16-bit grey"
        )
    raise RowError(
        "decode",
        f"it is a picture in colours ({mode}), and a label map holds one class number per pixel: "
        "save it as a grey or palette PNG",
    )
