"""Any picture file becomes an upright RGB picture, or a row error that says why not."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from styleid_ray.errors import RowError
from styleid_ray.imaging import decode
from styleid_ray.imaging.decode import has_frames
from tests.hostile import corpus

LIMIT = 1_000_000


def file_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners() -> Image.Image:
    """40 x 20, its upper left quarter red, the rest blue."""
    image = Image.new("RGB", (40, 20), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 20, 10))
    return image


def pixel(data: bytes, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    image = decode(data, LIMIT)
    assert image.mode == "RGB"
    return image.getpixel(at)  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_of_all_eight_exif_orientations_come_out_upright(kind: str, orientation: int):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corners().transpose(undo[orientation]) if orientation > 1 else corners()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(file_of(stored, kind, exif=exif), LIMIT)
    assert image.size == (40, 20)
    red, _, blue = image.getpixel((4, 4))  # pyright: ignore
    assert red > 200 > 60 > blue
    assert image.getpixel((35, 15))[2] > 200  # pyright: ignore


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "expected"),
    [
        ("1", 1, "PNG", (255, 255, 255)),
        ("L", 77, "PNG", (77, 77, 77)),
        ("LA", (77, 0), "PNG", (255, 255, 255)),
        ("RGBA", (200, 0, 0, 0), "PNG", (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), "PNG", (200, 0, 0)),
        ("RGBA", (0, 0, 0, 128), "WEBP", (127, 127, 127)),
        ("CMYK", (0, 0, 0, 0), "TIFF", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "JPEG", (255, 0, 0)),
        ("YCbCr", (255, 128, 128), "TIFF", (255, 255, 255)),
        ("LAB", (255, 128, 128), "TIFF", (255, 255, 255)),
        ("I;16", 65535, "PNG", (255, 255, 255)),
        ("I;16", 32768, "PNG", (128, 128, 128)),
        ("I;16", 200, "TIFF", (1, 1, 1)),
        ("I;16B", 32768, "TIFF", (128, 128, 128)),
        ("I", 32768, "TIFF", (128, 128, 128)),
        ("I", 65535, "PPM", (255, 255, 255)),
        ("F", 0.5, "TIFF", (128, 128, 128)),
        ("F", 128.0, "TIFF", (128, 128, 128)),
    ],
)
def test_every_pixel_format_becomes_rgb(mode, colour, kind, expected):
    options = {"quality": 100, "lossless": True} if kind == "WEBP" else {}
    found = pixel(file_of(Image.new(mode, (8, 8), colour), kind, **options))
    assert np.abs(np.subtract(found, expected)).max() <= 3


def test_sixteen_bit_greys_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    grey = np.asarray(decode(file_of(Image.fromarray(ramp)), LIMIT))[..., 0]
    assert np.array_equal(grey.reshape(-1), np.arange(256))


def test_floats_of_any_range_are_stretched_and_nan_is_black():
    values = np.array([[-3.0, np.nan], [1.0, np.inf]], np.float32)
    grey = np.asarray(decode(file_of(Image.fromarray(values), "TIFF"), LIMIT))[..., 0]
    assert grey.tolist() == [[0, 191], [255, 255]]


def test_a_deep_picture_takes_no_more_memory_than_its_pixels_and_a_little():
    side = 2000
    data = file_of(Image.new("F", (side, side), 0.5), "TIFF")
    tracemalloc.start()
    assert decode(data, side * side).getpixel((1999, 1999)) == (128, 128, 128)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * side * side


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
def test_transparent_palette_colours_lie_over_white(transparency):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    data = file_of(image, transparency=transparency)
    assert pixel(data) == (255, 255, 255)
    assert pixel(data, (1, 0)) == (0, 255, 0)


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_a_transparent_colour_of_a_png_lies_over_white(mode):
    key = (9, 9, 9) if mode == "RGB" else 9
    data = file_of(Image.new(mode, (4, 4), key), transparency=key)
    assert pixel(data) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), c) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    red, green, blue = pixel(file_of(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert red > 200
    assert green < 60
    assert blue < 60


def test_an_embedded_profile_is_converted_to_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert pixel(file_of(Image.new("RGB", (4, 4), (10, 200, 30)), icc_profile=lab)) == (10, 200, 30)
    swapped = pixel(file_of(Image.new("RGB", (4, 4), (10, 200, 30)), icc_profile=_swapped(lab)))
    assert np.abs(np.subtract(swapped, (200, 10, 30))).max() <= 60
    assert swapped[0] > swapped[1]


def _swapped(profile: bytes) -> bytes:
    """An RGB profile with its red and green primaries exchanged, under another name."""
    return (
        profile.replace(b"rXYZ", b"####").replace(b"gXYZ", b"rXYZ").replace(b"####", b"gXYZ")
    ).replace("sRGB".encode("utf-16-be"), "xxxx".encode("utf-16-be"))


@pytest.mark.parametrize("profile", [b"", b"nonsense", b"\x00" * 200])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_colour_profile_is_ignored(profile, mode):
    data = file_of(Image.new(mode, (4, 4)), "TIFF", icc_profile=profile)
    assert decode(data, LIMIT).size == (4, 4)


def test_broken_exif_is_ignored_without_a_warning():
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12\xff"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(file_of(corners(), "JPEG", exif=exif), LIMIT).size == (40, 20)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"this is text named .jpg", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF", "not a picture"),
        (file_of(corners(), "JPEG")[:-80], "cut off"),
        (file_of(corners(), "PNG")[:60], "cut off"),
        (file_of(corners(), "BMP")[:300], "cut off"),
        (file_of(corners(), "WEBP")[:40], "."),
        (file_of(corners(), "GIF")[:30], "."),
        (file_of(corners(), "TIFF")[:200], "."),
        (file_of(corners(), "PNG").replace(b"IDAT", b"IDAX"), "not a picture"),
        (b"P6 0 0 255\n", "."),
    ],
)
def test_a_bad_file_is_a_row_error_that_says_why(data, message):
    with pytest.raises(RowError, match=message) as caught:
        decode(data, LIMIT)
    assert caught.value.stage == "decode"
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350


def test_every_truncation_is_a_row_error_or_a_picture():
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "ICO", "TGA", "PPM"):
        data = file_of(corners(), kind)
        for cut in range(0, len(data), 1 + len(data) // 25):
            with suppress(RowError):
                assert decode(data[:cut], LIMIT).mode == "RGB"


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims these sides and holds no pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [1001, 50_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    with pytest.raises(RowError, match="too large"):
        decode(bomb(side, 1000 if side == 1001 else side), LIMIT)


def test_pillows_own_limit_does_not_interfere_and_is_restored(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(file_of(corners()), 800).size == (40, 20)
    assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(RowError, match="40 x 20"):
        decode(file_of(corners()), 799)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_threads_decode_side_by_side():
    before, data = Image.MAX_IMAGE_PIXELS, file_of(corners(), "JPEG")
    with ThreadPoolExecutor(8) as pool:
        sizes = set(pool.map(lambda _: decode(data, LIMIT).size, range(100)))
    assert sizes == {(40, 20)}
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("size", [(1, 1), (2000, 3)])
def test_extreme_shapes_are_decoded(size):
    assert decode(file_of(Image.new("RGB", size)), LIMIT).size == size


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of the test's own look at the file
@pytest.mark.parametrize("name", corpus.PICTURES)
def test_odd_pictures_are_decoded_at_their_own_size(name):
    data = corpus.PICTURES[name]
    with Image.open(io.BytesIO(data)) as image:
        assert decode(data, corpus.MAX_PIXELS).size == image.size


@pytest.mark.parametrize("name", corpus.NOT_PICTURES)
def test_a_file_that_is_not_a_picture_is_refused_in_one_short_line(name):
    with pytest.raises(RowError) as caught:
        decode(corpus.NOT_PICTURES[name], corpus.MAX_PIXELS)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 350


def frames_of(kind: str, frames: int) -> bytes:
    first, *more = (Image.new("RGB", (24, 24), (80 * i, 0, 0)) for i in range(frames))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=more)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_file_with_several_frames_or_pages_is_told_from_a_still(kind: str) -> None:
    assert has_frames(frames_of(kind, 3), LIMIT)
    assert not has_frames(frames_of(kind, 1), LIMIT)


def test_the_thumbnail_in_a_camera_file_is_not_a_page() -> None:
    file = io.BytesIO()
    whole, small = Image.new("RGB", (24, 24)), Image.new("RGB", (8, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    whole.save(file, "TIFF", save_all=True, append_images=[small])
    image: Any = Image.open(file)
    assert image.n_frames == 2
    assert not has_frames(file.getvalue(), LIMIT)


def test_the_views_in_a_phones_photograph_are_one_picture() -> None:
    assert not has_frames(frames_of("MPO", 2), LIMIT)


def test_damage_after_the_first_frame_raises_nothing() -> None:
    whole = frames_of("GIF", 2)
    assert {has_frames(whole[:end], LIMIT) for end in range(len(whole))} == {False, True}
