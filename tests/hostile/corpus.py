"""Files that a run meets: odd pictures, files that are none, and names of every kind."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MAX_PIXELS = 100_000


def _picture(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    ramp = np.linspace(0, 255, size[0] * size[1], dtype=np.uint8).reshape(size[1], size[0])
    image = Image.merge(
        "RGB",
        [Image.fromarray(ramp), Image.fromarray(ramp[::-1])] * 1 + [Image.fromarray(ramp[:, ::-1])],
    )
    return image.convert(mode)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of black pixels that unpacks to a thousand times its size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((3 * width + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    )


def _animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "green", "blue")]
    return file_of(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)


def _palette() -> bytes:
    return file_of(_picture("P"), transparency=bytes(range(256)))


def _deep_grey() -> bytes:
    return file_of(Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30) * 70))


PICTURES: dict[str, bytes] = {
    "one-pixel.png": file_of(_picture(size=(1, 1))),
    "strip.png": file_of(_picture(size=(20_000, 3))),
    "pillar.png": file_of(_picture(size=(2, 3_000))),
    "cmyk.jpg": file_of(_picture("CMYK"), "JPEG"),
    "grey-16-bit.png": _deep_grey(),
    "palette.png": _palette(),
    "animated.gif": _animated("GIF"),
    "animated.webp": _animated("WEBP"),
    "animated.png": _animated("PNG"),
    "broken-exif.jpg": file_of(
        _picture(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12\xff"
    ),
    "broken-profile.png": file_of(_picture(), icc_profile=b"no profile" * 30),
    "wrong-extension.gif": file_of(_picture(), "JPEG"),
}
"""Odd files that are pictures all the same."""

NAMES = (
    "space in it.png",
    "quote'\"`.png",
    "two..dots.png",
    "dots../x...png",
    "new\nline\r.png",
    "tab\tbell\a.png",
    "emoji 🖼️ عربى.png",
    "percent%2F%2e%2e.png",
    "back\\..\\slash.png",
    "$(touch pwned);&|.png",
    "-rf.png",
    "[a-z]*?{b}.png",
    "hash#query?x=y.png",
    "colon::x.png",
    "<b>&amp;.png",
    "x" * 251 + ".png",
    "画" * 83 + ".png",
    "Case.png",
    "case.png",
    "same.png",
    "same.jpg",
    "folder/same.png",
    "folder.png/inside.png",
    "deep/" * 20 + "same.png",
)
"""Names that a plain picture may have."""

NOT_PICTURES: dict[str, bytes] = {
    "cut.png": file_of(_picture())[:200],
    "cut.jpg": file_of(_picture(), "JPEG")[:-300],
    "empty.png": b"",
    "text.jpg": b"this is text\n" * 20,
    "page.webp": b"<html><script>alert(1)</script></html>",
    "bomb.png": bomb(2_000, 2_000),
    "claims.png": bomb(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 60_000, 60_000)),
    "noise.gif": b"GIF89a" + bytes(range(256)) * 3,
    "bad\nname\x1b[31m.png": b"not a picture",
    "画" * 82 + "x.png": b"not a picture",
}
"""Files that cost their own pairs."""

BROKEN_LINKS = ("dangling.png", "itself.png")


def write_corpus(folder: Path) -> None:
    """All of it, and loops of links, a pipe and a hidden file, which are no pictures to anybody."""
    plain = file_of(_picture())
    files = PICTURES | NOT_PICTURES | dict.fromkeys(NAMES, plain)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "loop").symlink_to(folder)
    (folder / "folder" / "up.png").symlink_to("..")
    os.mkfifo(folder / "pipe.png")
    (folder / ".hidden.png").write_bytes(plain)
    (folder / "notes.txt").write_bytes(b"text")
