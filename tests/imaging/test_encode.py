"""Results are written as files that read back as what was meant."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from styleid_ray.errors import RowError
from styleid_ray.imaging import decode, encode, extension


@pytest.fixture
def noise() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize(("kind", "quality"), [("png", 10), ("webp", 100)])
def test_lossless_formats_give_back_every_pixel(noise, kind, quality):
    data = encode(noise, kind, quality)
    assert np.array_equal(np.asarray(decode(data, 10_000)), np.asarray(noise))
    assert data == encode(noise, kind, quality)


def test_jpeg_keeps_full_colour_resolution(noise):
    with Image.open(io.BytesIO(encode(noise, "jpeg", 95))) as image:
        assert image.format == "JPEG"
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # pyright: ignore


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_lower_quality_makes_smaller_files(noise, kind):
    assert len(encode(noise, kind, 20)) < len(encode(noise, kind, 95))


def test_the_extension_follows_the_format():
    assert [extension(kind) for kind in ("png", "jpeg", "webp")] == [".png", ".jpg", ".webp"]


def test_a_picture_that_the_format_cannot_hold_is_a_row_error():
    with pytest.raises(RowError, match="20000 x 1") as caught:
        encode(Image.new("RGB", (20_000, 1)), "webp", 90)
    assert caught.value.stage == "encode"
