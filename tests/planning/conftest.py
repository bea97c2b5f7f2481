"""Folders of pictures on the disk, and an S3 server on loopback."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from styleid_ray.datasets.keys import Keys

Folder = Callable[[str, Iterable[str]], Path]


def picture_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make a folder below tmp_path with files of these names."""

    def make(name: str, files: Iterable[str]) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture_bytes())
        return root

    return make


@pytest.fixture
def bucket(s3: str) -> Callable[..., str]:
    """Put files into a new bucket; gives the bucket's URL."""
    import s3fs

    store = s3fs.S3FileSystem()

    def put(files: Iterable[str], body: bytes | None = None) -> str:
        for file in files:
            store.pipe_file(f"{s3}/{file}", body or picture_bytes())
        return s3

    return put


def names(letter: str, count: int) -> Keys:
    """Keys of so many pictures."""
    return Keys(f"{letter}{i:05d}.png" for i in range(count))
