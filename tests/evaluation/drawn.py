"""Drawn pictures, and networks with made-up weights that every machine makes alike.

The shapes are those of the published networks; the numbers say nothing about pictures.
"""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

DATA = Path(__file__).parent.parent / "data" / "evaluation"
CONTENTS, STYLES = ("a", "b", "c"), ("x", "y")
PAIRS = (("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"))
"""One style counts three times, the other once."""
SIZE = (112, 96)


def draw(name: str, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture with shapes and a texture that belong to its name."""
    width, height = size
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    draws = np.random.default_rng(crc32(name.encode()))
    picture = np.full((height, width, 3), draws.uniform(0.2, 0.8, 3))
    for _ in range(6):
        (a, b), r, colour = draws.uniform(0, 1, 2), draws.uniform(0.1, 0.35), draws.uniform(0, 1, 3)
        inside = (x - a) ** 2 + (y - b) ** 2 < r**2
        stripes = 0.5 + 0.5 * np.sin(draws.uniform(20, 90) * (x + draws.uniform(-1, 1) * y))
        picture[inside] = colour * (0.4 + 0.6 * stripes[inside, None])
    return Image.fromarray((picture * 255).round().astype(np.uint8))


def blend(content: str, style: str) -> Image.Image:
    """A stand-in for a stylised picture."""
    one, two = (np.asarray(draw(name), np.uint16) for name in (content, style))
    return Image.fromarray(((2 * one + two) // 3).astype(np.uint8))


def write_folders(root: Path) -> tuple[Path, Path, Path]:
    """Folders of results, contents and styles, named as the authors' code does."""
    folders = tuple(root / name for name in ("stylized", "content", "style"))
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for folder, names in zip(folders[1:], (CONTENTS, STYLES), strict=True):
        for name in names:
            draw(name).save(folder / f"{name}.png")
    for content, style in PAIRS:
        blend(content, style).save(folders[0] / f"{content}_stylized_{style}.png")
    return folders  # pyright: ignore[reportReturnType]


def shapes() -> dict[str, dict[str, list[int]]]:
    """Shapes of the networks' tensors, by network and name."""
    return json.loads((DATA / "shapes.json").read_text())


def tensor(name: str, shape: list[int], seed: int, gain: float) -> np.ndarray:
    """A made-up tensor, of float32, that follows from its name."""
    z = np.random.default_rng([seed, crc32(name.encode())]).standard_normal(shape)
    kind = name.rsplit(".", 1)[-1]
    if kind == "running_var":
        z = 1 + 0.1 * np.abs(z)
    elif kind == "weight" and len(shape) > 1:
        z *= gain * np.sqrt(2 / np.prod(shape[1:]))
    elif kind == "weight":
        z = 1 + 0.1 * z
    else:
        z *= 0.1
    return z.astype(np.float32)


def made_up_weights(seed: int = 5) -> dict[str, dict[str, np.ndarray]]:
    """Tensors of the three networks. VGG19's are larger, or CFSD would be rounding alone."""
    return {
        network: {
            name: tensor(name, shape, seed, 1.5 if network == "vgg19" else 1)
            for name, shape in of.items()
        }
        for network, of in shapes().items()
    }
