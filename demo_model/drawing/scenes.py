"""Scenes: the kinds that there are, and one function that draws any of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from demo_model.drawing.colour import lch, random_palette
from demo_model.drawing.fields import Picture, Rng, blur, fractal_noise, mix
from demo_model.drawing.landscapes import hills, lake, meadow, sea
from demo_model.drawing.objects import flowers, still_life
from demo_model.drawing.patterns import dead_leaves, drifts, pebbles
from demo_model.drawing.towns import town

Drawer = Callable[[Rng, int], Picture]

SCENES: dict[str, Drawer] = {
    "lake": lake,
    "still life": still_life,
    "town": town,
    "flowers": flowers,
    "sea": sea,
    "dead leaves": dead_leaves,
    "hills": hills,
    "pebbles": pebbles,
    "meadow": meadow,
    "drifts": drifts,
}

SHOWN_SCENES: tuple[str, ...] = ("lake", "still life", "town", "flowers", "sea", "dead leaves")
"""The kinds that the demo's contents walk through."""


def draw_scene(kind: str, rng: Rng, size: int) -> Picture:
    """One scene of the kind, with the light, grain and softness of a photograph."""
    picture = SCENES[kind](rng, size)
    tint = lch(float(rng.uniform(0.75, 0.98)), 0.06, float(rng.random()))
    glow = 0.5 + 0.5 * fractal_noise(rng, size, 2.5)
    picture = mix(picture, picture * tint, np.clip(glow, 0, 1) * float(rng.uniform(0, 0.5)))
    if rng.random() < 0.3:
        picture = blur(picture, float(rng.uniform(0.001, 0.004)))
    grain = float(rng.uniform(0.0, 0.02))
    picture = picture + grain * rng.standard_normal(picture.shape).astype(np.float32)
    gain, gamma = float(rng.uniform(0.85, 1.1)), float(rng.uniform(0.8, 1.25))
    return np.clip(np.clip(picture * gain, 0, 1) ** gamma, 0, 1).astype(np.float32)


def random_scene(rng: Rng, size: int) -> Picture:
    """A scene of any kind; one in four in the colours of a palette, some with colours exchanged."""
    picture = draw_scene(list(SCENES)[int(rng.integers(len(SCENES)))], rng, size)
    if rng.random() < 0.25:
        picture = random_palette(rng).recolour(picture, keep=float(rng.uniform(0, 0.7)))
    if rng.random() < 0.25:
        picture = picture[:, :, rng.permutation(3)]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)
