from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from styleid_ray.imaging.frames import has_frames


def file_of(kind: str, frames: int) -> bytes:
    first, *more = (Image.new("RGB", (24, 24), (80 * i, 0, 0)) for i in range(frames))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=more)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_file_of_several_frames_or_pages_is_known_from_a_still(kind: str) -> None:
    assert has_frames(file_of(kind, 3), 10**6)
    assert not has_frames(file_of(kind, 1), 10**6)


def test_the_thumbnail_in_a_camera_file_is_no_page() -> None:
    file = io.BytesIO()
    whole, small = Image.new("RGB", (24, 24)), Image.new("RGB", (8, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    whole.save(file, "TIFF", save_all=True, append_images=[small])
    image: Any = Image.open(file)
    assert image.n_frames == 2
    assert not has_frames(file.getvalue(), 10**6)


def test_the_views_in_a_phones_photograph_are_one_picture() -> None:
    assert not has_frames(file_of("MPO", 2), 10**6)


def test_damage_behind_the_first_frame_raises_nothing() -> None:
    whole = file_of("GIF", 2)
    assert {has_frames(whole[:end], 10**6) for end in range(len(whole))} == {False, True}
