"""Masks are numbers: strengths from 0 to 255, and classes that nothing blends."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image

from styleid_ray.errors import RowError
from styleid_ray.imaging import decode, fit_picture
from styleid_ray.imaging.masks import to_regions, to_strength
from tests.imaging.test_decode import LIMIT, file_of


def strength(mode: str, colour: object, kind: str = "PNG") -> int:
    image = Image.new(mode, (4, 4), colour)  # pyright: ignore[reportArgumentType]
    grey = decode(file_of(image, kind), LIMIT, to_strength)
    assert grey.mode == "L"
    return grey.getpixel((0, 0))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, 255),
        ("L", 77, 77),
        ("I;16", 65535, 255),
        ("I;16", 32768, 128),
        ("RGB", (255, 255, 255), 255),
        ("RGBA", (255, 255, 255, 0), 0),
        ("RGBA", (255, 255, 255, 128), 128),
        ("LA", (255, 64), 64),
    ],
)
def test_a_strength_is_what_the_eye_sees_and_transparent_is_black(
    mode: str, colour: object, expected: int
) -> None:
    assert abs(strength(mode, colour) - expected) <= 1


def test_a_strength_mask_in_a_palette_has_the_strengths_of_its_colours() -> None:
    image = Image.new("P", (4, 4), 3)
    image.putpalette([0, 0, 0] * 3 + [200, 200, 200])
    assert decode(file_of(image), LIMIT, to_strength).getpixel((0, 0)) == 200


def test_a_strength_mask_of_zeros_and_ones_says_how_to_scale_it() -> None:
    with pytest.raises(RowError, match=r"values are 0 and 1.*multiply it by 255"):
        strength("L", 1)
    assert strength("L", 0) == 0


def regions(image: Image.Image, classes: dict[int, int]) -> list[int]:
    numbers = decode(file_of(image), LIMIT, partial(to_regions, regions=classes))
    assert numbers.mode == "L"
    return np.asarray(numbers)[0].tolist()


def row(mode: str, values: list[int], dtype: str = "uint8") -> Image.Image:
    image = Image.fromarray(np.array([values] * 4, dtype))
    return image if mode == image.mode else image.convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_a_label_map_may_be_grey_in_any_number_of_channels(mode: str) -> None:
    assert regions(row(mode, [0, 1, 7, 255]), {7: 1, 255: 2}) == [0, 0, 1, 2]


def test_palettes_deep_grey_and_two_levels_hold_classes_as_they_are() -> None:
    palette = row("L", [0, 1, 7, 255])
    palette.putpalette([5, 200, 90] * 256)
    assert palette.mode == "P"
    assert regions(palette, {7: 1}) == [0, 0, 1, 0]
    assert regions(row("I;16", [0, 200, 7, 60000], "uint16"), {200: 1, 7: 2}) == [0, 1, 2, 0]
    assert regions(row("L", [0, 255]).convert("1"), {1: 1}) == [0, 1]


def test_a_label_map_in_colours_is_refused() -> None:
    with pytest.raises(
        RowError, match=r"picture in colours \(RGB\), .* save it as a grey or palette"
    ):
        regions(Image.new("RGB", (4, 4), (1, 2, 3)), {1: 1})


def test_a_label_map_of_fractions_says_how_to_save_it() -> None:
    fractions = Image.fromarray(np.zeros((4, 4), np.float32))
    with pytest.raises(RowError, match="its values are fractions: save class numbers as 8- or 16"):
        to_regions(fractions, {1: 1})


@pytest.mark.parametrize("fit", ["keep", "crop"])
def test_resizing_adds_no_classes_and_blends_strengths(fit) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.choice([0, 100, 255], (130, 190)).astype(np.uint8))
    for size in (64, 320):
        nearest = fit_picture(noise, size, fit, 8, Image.Resampling.NEAREST)
        blended = fit_picture(noise, size, fit, 8, Image.Resampling.BILINEAR)
        assert nearest.size == blended.size == fit_picture(noise.convert("RGB"), size, fit, 8).size
        assert set(np.unique(np.asarray(nearest))) == {0, 100, 255}
        assert len(np.unique(np.asarray(blended))) > 50
