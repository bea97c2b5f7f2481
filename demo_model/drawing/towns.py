"""Towns: rows of houses."""

from __future__ import annotations

import numpy as np

from demo_model.drawing.colour import lch
from demo_model.drawing.fields import (
    Field,
    Picture,
    Rng,
    coverage,
    fractal_noise,
    grid,
    mix,
)
from demo_model.drawing.landscapes import add_ridges, ground, sky


def town(rng: Rng, size: int) -> Picture:
    """Rows of houses with roofs, windows and a lit side."""
    y, x = grid(size)
    picture = sky(rng, size)
    if rng.random() < 0.6:
        picture = add_ridges(rng, picture, 0.6, 2)
    street = ground(rng, size, lch(0.55, 0.03, rng.uniform(0.1, 0.3)), 0.15)
    picture = mix(picture, street, coverage(rng.uniform(0.7, 0.8) - y))
    light = float(rng.choice([-1.0, 1.0]))
    for row in range(3):
        foot, unit = 0.66 + 0.11 * row, 0.13 + 0.06 * row
        at = -unit * rng.random()
        while at < 1.0:
            wide, tall = unit * rng.uniform(0.7, 1.3), unit * rng.uniform(0.9, 2.4)
            if rng.random() < 0.8:
                picture = _house(rng, picture, (y, x), at, foot, wide, tall, light)
            at += wide * rng.uniform(0.95, 1.25)
    return picture


def _house(
    rng: Rng,
    picture: Picture,
    yx: tuple[Field, Field],
    left: float,
    foot: float,
    wide: float,
    tall: float,
    light: float,
) -> Picture:
    y, x = yx
    u, v = (x - left) / wide, (foot - y) / tall
    wall = lch(rng.uniform(0.55, 0.9), rng.uniform(0.02, 0.1), rng.choice([0.1, 0.2, 0.28, 0.7]))
    plaster = 1 + 0.06 * fractal_noise(rng, y.shape[0], 0.9)
    side = np.where((u - 0.68) * light > 0, 0.66, 1.0) * plaster
    body = np.maximum(np.abs(u - 0.5) - 0.5, np.maximum(-v, v - 1.0) * tall / wide) * wide
    picture = mix(picture, wall * side[..., None], coverage(body.astype(np.float32)))
    columns, rows = int(rng.integers(2, 4)), max(1, int(tall / 0.09))
    cell_u, cell_v = (u * columns) % 1.0 - 0.5, (v * rows) % 1.0 - 0.5
    pane = np.maximum(np.abs(cell_u) - 0.24, np.abs(cell_v) - 0.28) * wide / columns
    inside = np.maximum(pane, body + 0.004)
    glass = lch(0.85, 0.13, 0.25) if rng.random() < 0.2 else lch(0.28, 0.04, 0.72)
    picture = mix(picture, glass, coverage(inside.astype(np.float32)))
    peak = rng.uniform(0.25, 0.6) * wide
    roof = np.maximum(np.abs(u - 0.5) * 2 * peak - (peak - (v - 1) * tall) * 1.0, (1 - v) * tall)
    slate = lch(rng.uniform(0.35, 0.55), rng.uniform(0.03, 0.12), rng.choice([0.08, 0.1, 0.7]))
    tiles = 1 + 0.12 * np.sin(v * tall * 420) + 0.05 * fractal_noise(rng, y.shape[0], 0.7)
    lit = np.where((u - 0.5) * light > 0, 0.7, 1.05) * tiles
    return mix(picture, slate * lit[..., None], coverage((roof * 0.8).astype(np.float32)))
