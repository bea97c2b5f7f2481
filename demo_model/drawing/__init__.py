"""Pictures drawn from a seed: scenes to stylise, and painterly pictures to take a style from.

The main flow: `scenes.random_scene` draws a scene, `looks.random_look` invents a way of painting,
`Look.paint` paints a scene in it. Arrays are float32 [H, W, 3], sRGB in [0, 1].
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from demo_model.drawing.fields import Picture
from demo_model.drawing.looks import LOOKS, named_look
from demo_model.drawing.scenes import SCENES, SHOWN_SCENES, draw_scene

__all__ = ["draw_content", "draw_style", "to_image"]


def draw_content(seed: int, size: int = 256) -> Image.Image:
    """A scene, RGB, `size` x `size` pixels; consecutive seeds walk through the kinds."""
    rng = np.random.default_rng([1, seed])
    kind = SHOWN_SCENES[seed % len(SHOWN_SCENES)]
    return to_image(draw_scene(kind, rng, size))


def draw_style(seed: int, size: int = 256) -> Image.Image:
    """A painterly picture, RGB, `size` x `size`; consecutive seeds walk through the looks."""
    rng = np.random.default_rng([2, seed])
    names = list(LOOKS)
    look = named_look(names[seed % len(names)], rng)
    kinds = list(SCENES)
    scene = draw_scene(kinds[int(rng.integers(len(kinds)))], rng, size)
    return to_image(look.paint(scene, rng))


def to_image(picture: Picture) -> Image.Image:
    """The 8-bit RGB image of a picture."""
    return Image.fromarray((np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8), "RGB")
