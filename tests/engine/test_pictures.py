"""Pictures of every kind that a caller may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine.pictures import to_pixels
from styleid_ray.errors import ConfigError, RowError
from styleid_ray.imaging import decode


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file of 2 x 3 pixels that a camera stored on its side: its EXIF turns it to 3 x 2."""
    pixels = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


def test_a_path_is_opened_upright_as_in_a_job(photo: Path) -> None:
    upright = torch.from_numpy(np.array(Image.open(photo).transpose(Image.Transpose.ROTATE_270)))
    assert torch.equal(to_pixels(photo), upright)
    assert torch.equal(to_pixels(str(photo)), upright)
    assert torch.equal(to_pixels(photo.as_uri()), upright)


def test_pictures_arrays_and_tensors_give_the_same_pixels() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    for picture in (pixels, torch.from_numpy(pixels), Image.fromarray(pixels)):
        assert torch.equal(to_pixels(picture), torch.from_numpy(pixels))


def save(path: Path, picture: Image.Image, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_a_pillow_picture_is_turned_once_like_its_file(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    path = save(tmp_path / f"photo.{suffix}", Image.fromarray(pixels), orientation)
    want = to_pixels(path)
    assert torch.equal(to_pixels(Image.open(path)), want)
    assert torch.equal(to_pixels(decode(path.read_bytes(), 100)), want)


def test_pillow_pictures_have_transparency_over_white_and_depth_as_their_files_do(
    tmp_path: Path,
) -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    deep = Image.fromarray(np.full((2, 2), 40_000, np.uint16))
    for picture, value in ((clear, 255), (deep, 156)):
        path = save(tmp_path / "picture.png", picture)
        for given in (path, picture, Image.open(path)):
            assert torch.equal(to_pixels(given), torch.full((2, 2, 3), value, dtype=torch.uint8))


def test_a_file_that_is_missing_or_no_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowError, match=r"gone\.png: "):
        to_pixels(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(RowError, match=r"text\.png: not a picture"):
        to_pixels(tmp_path / "text.png")


@pytest.mark.parametrize(
    "thing", [3, None, np.zeros((4, 4, 3)), torch.zeros(4, 4, dtype=torch.uint8)]
)
def test_anything_else_is_refused_with_the_kinds_that_are_taken(thing: Any) -> None:
    with pytest.raises(ConfigError, match=r"is no picture: give a path, a PIL image or uint8"):
        to_pixels(thing)


@pytest.fixture(scope="module")
def pipe(tiny_model: Path) -> StyleIDPipeline:
    return StyleIDPipeline.from_pretrained(str(tiny_model), device="cpu")


def test_a_single_picture_in_place_of_a_list_is_refused(pipe: Any, photo: Path) -> None:
    for picture in (str(photo), photo, Image.open(photo)):
        with pytest.raises(
            ConfigError, match=r"^contents is a single \w+: give a list, \[content\]"
        ):
            pipe(picture, [photo])
        with pytest.raises(ConfigError, match=r"^styles is a single \w+: give a list, \[style\]"):
            pipe([photo], picture, pairs="zip")
    with pytest.raises(ConfigError, match=r"^pictures is a single"):
        pipe.encode(photo)


def test_the_pipeline_takes_paths(pipe: StyleIDPipeline, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(2)]
    paths = [tmp_path / "content.png", tmp_path / "style.png"]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    params = StyleParams(steps=2)
    (opened,) = pipe(paths[:1], paths[1:], params=params)
    (given,) = pipe(pictures[:1], pictures[1:], params=params)
    assert opened.tobytes() == given.tobytes()


def test_wrong_pairs_and_params_are_refused_in_one_line(pipe: StyleIDPipeline) -> None:
    picture = [Image.new("RGB", (64, 64))]
    with pytest.raises(ConfigError, match=r"pairs is \[0\]: use 'cross', 'zip' or a list of"):
        pipe(picture, picture, pairs=[0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"params is \{'gamma': 0.5\}: give StyleParams"):
        pipe(picture, picture, params={"gamma": 0.5})  # pyright: ignore[reportArgumentType]
