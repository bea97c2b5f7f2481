"""Resizing to the size that the model works at, and back to the size that the user expects."""

from math import ceil, floor, log, sqrt

from PIL import Image

from styleid_ray.config import Fit
from styleid_ray.errors import ConfigError
from styleid_ray.imaging.guard import quiet_pillow

MAX_ASPECT = 4.0
"""Pictures more oblong than 4:1 are processed at 4:1: a strip of a few pixels shows the model
nothing, and its long side would leave the range that the model was trained for."""


def working_size(width: int, height: int, size: int, factor: int) -> tuple[int, int]:
    """The size at which a whole picture is processed.

    Both sides are multiples of `factor`, the area is near `size`², and the aspect near the
    picture's (clamped to `MAX_ASPECT`). There are few sizes, so that pictures of similar shape
    share a batch. Rotating the picture by 90° swaps the sides of the result.

    Args:
        width, height: the picture's size in pixels, at least 1.
        size: the square root of the wanted area, in pixels.
        factor: pixels that divide both sides.

    Returns:
        (width, height) in pixels.
    """
    if width < height:
        tall, wide = working_size(height, width, size, factor)
        return wide, tall
    aspect = min(width / height, MAX_ASPECT)
    candidates = [
        (columns * factor, rows * factor)
        for columns in _near(size * sqrt(aspect) / factor)
        for rows in _near(size / sqrt(aspect) / factor)
        if columns >= rows
    ]

    def misfit(candidate: tuple[int, int]) -> tuple[float, int, int]:
        w, h = candidate
        shape, area = log(w / h / aspect), log(w * h / size**2)
        # A distorted shape is visible; a few pixels more or fewer are not.
        return round(2 * shape**2 + area**2, 9), w * h, w

    return min(candidates, key=misfit)


def _near(units: float) -> list[int]:
    return sorted({max(1, floor(units) - 1), max(1, floor(units)), max(1, ceil(units))})


def fit_picture(
    image: Image.Image,
    size: int,
    fit: Fit,
    factor: int,
    resampling: Image.Resampling | None = None,
) -> Image.Image:
    """Resize a picture to the size that the model works at.

    Args:
        image: picture of any size, RGB or grey.
        size: `--size` in pixels.
        fit: "keep" resizes the whole picture to `working_size`; "crop" takes the centre square
            and resizes it to size x size.
        factor: pixels that divide both sides.
        resampling: Pillow's filter; by default Lanczos for smaller sizes and bicubic for larger.

    Raises:
        ConfigError: `fit` is "crop" and `size` is not a multiple of `factor`.
    """
    if fit == "crop":
        check_crop_size(size, factor)
        # Cut first: resizing with a box would blend the pixels around it into the edges.
        return _resize(centre_square(image), (size, size), resampling)
    return _resize(image, working_size(image.width, image.height, size, factor), resampling)


def centre_square(image: Image.Image) -> Image.Image:
    """The largest square in the middle of a picture."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    with quiet_pillow(max_pixels=side * side):
        return image.crop((left, top, left + side, top + side))


def check_crop_size(size: int, factor: int) -> None:
    """Raises ConfigError, with the nearest sizes, where `size` is not a multiple of `factor`: the
    sides of a square result must be."""
    if size % factor:
        below = size // factor * factor
        nearest = " or ".join(str(s) for s in (below, below + factor) if s > 0)
        raise ConfigError(
            f"--size {size} does not suit --fit crop: the model needs a multiple of {factor}; "
            f"take {nearest}, or --fit keep"
        )


def restore(image: Image.Image, width: int, height: int, fit: Fit) -> Image.Image:
    """Resize a result at the working size to the upright source's width and height in pixels with
    "keep"; with "crop" it stays unchanged."""
    return image if fit == "crop" else _resize(image, (width, height))


def _resize(
    image: Image.Image, size: tuple[int, int], resampling: Image.Resampling | None = None
) -> Image.Image:
    if image.size == size:
        return image
    if resampling is None:
        shrinks = size[0] < image.width or size[1] < image.height
        # Lanczos keeps the most detail when shrinking; enlarging, it rings more than bicubic.
        resampling = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return image.resize(size, resampling)
