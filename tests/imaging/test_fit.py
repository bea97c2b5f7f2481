"""Pictures come to sizes that the model takes, and back to their own."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from styleid_ray.errors import ConfigError
from styleid_ray.imaging import fit_picture, restore, working_size
from styleid_ray.imaging.fit import MAX_ASPECT

sides = st.integers(1, 30_000)


@settings(max_examples=300, deadline=None)
@given(sides, sides, st.integers(256, 2048), st.sampled_from([8, 16, 32, 64]))
def test_working_sizes_suit_the_model_and_keep_area_and_aspect(width, height, size, factor):
    w, h = working_size(width, height, size, factor)
    assert w % factor == h % factor == 0
    assert min(w, h) >= factor
    aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
    # Half a unit of either side is what rounding may cost, a whole one where both pull together.
    slack = 2 * factor / min(w, h)
    assert abs(log(w * h / size**2)) <= slack
    assert abs(log(w / h / aspect)) <= slack
    assert working_size(height, width, size, factor) == (h, w)


@pytest.mark.parametrize(
    ("source", "size", "factor", "expected"),
    [
        ((512, 512), 512, 8, (512, 512)),
        ((1, 1), 512, 64, (512, 512)),
        ((20_000, 3), 512, 64, (1024, 256)),
        ((3, 20_000), 512, 64, (256, 1024)),
        ((64, 64), 64, 64, (64, 64)),
        ((1920, 1080), 512, 64, (704, 384)),
    ],
)
def test_working_sizes_of_common_and_extreme_pictures(source, size, factor, expected):
    assert working_size(source[0], source[1], size, factor) == expected


def test_pictures_of_similar_shape_share_a_size():
    assert len({working_size(640 + d, 480 - d, 512, 64) for d in range(-10, 6)}) == 1


@pytest.mark.parametrize("source", [(640, 480), (30, 700), (1, 1), (2000, 3)])
def test_keep_gives_back_the_size_of_the_source(source):
    picture = Image.new("RGB", source, (10, 20, 30))
    fitted = fit_picture(picture, 128, "keep", 8)
    assert fitted.size == working_size(source[0], source[1], 128, 8)
    result = restore(fitted, source[0], source[1], "keep")
    assert result.size == source
    assert result.getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_crop_takes_the_centre_square(size):
    picture = Image.new("RGB", size, (255, 0, 0))
    left, top = size[0] // 2 - 50, size[1] // 2 - 50
    picture.paste((0, 255, 0), (left, top, left + 100, top + 100))
    cropped = fit_picture(picture, 64, "crop", 64)
    assert cropped.size == (64, 64)
    assert cropped.getcolors() == [(64 * 64, (0, 255, 0))]
    assert restore(cropped, size[0], size[1], "crop") is cropped


def test_a_crop_size_that_the_model_cannot_take_names_the_nearest():
    with pytest.raises(ConfigError, match=r"--size 500 .*64.*448 or 512"):
        fit_picture(Image.new("RGB", (9, 9)), 500, "crop", 64)


def test_shrinking_is_antialiased():
    stripes = Image.new("RGB", (512, 512))
    for x in range(0, 512, 2):
        stripes.paste((255, 255, 255), (x, 0, x + 1, 512))
    low, high = fit_picture(stripes, 64, "crop", 8).convert("L").getextrema()
    assert 100 < low <= high < 156  # pyright: ignore[reportOperatorIssue]
