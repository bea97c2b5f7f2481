"""Pictures put together from pieces: mosaic, stained glass, facets, woven threads."""

from __future__ import annotations

import numpy as np

from demo_model.drawing.fields import (
    Field,
    Picture,
    Rng,
    blur,
    fractal_noise,
    grid,
    line_integral,
    mix,
    smoothstep,
)
from demo_model.drawing.patterns import voronoi

Settings = dict[str, float]


def mosaic(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Small square stones in turned rows, each of one colour, with grout between."""
    size = picture.shape[0]
    y, x = grid(size)
    cells = round(34 - 18 * settings["scale"])
    a = np.pi / 2 * settings["turn"]
    wave = 0.02 * settings["strength"]
    u = x * np.cos(a) + y * np.sin(a) + 2 + wave * fractal_noise(rng, size, 2.4)
    v = y * np.cos(a) - x * np.sin(a) + 2 + wave * fractal_noise(rng, size, 2.4)
    row = np.floor(v * cells)
    u = u + (row % 2) * 0.5 / cells
    column = np.floor(u * cells)
    cell = (row * 512 + column).astype(np.int64)
    colour = cell_means(picture, cell)
    colour = colour + cell_noise(rng, cell) * (0.03 + 0.1 * settings["variety"])
    fu, fv = np.abs((u * cells) % 1 - 0.5), np.abs((v * cells) % 1 - 0.5)
    edge = 0.5 - np.maximum(fu, fv)
    grout = picture.mean(axis=(0, 1)) * (0.35 if settings["relief"] > 0.4 else 1.25)
    lit = 1 + 0.22 * (((v * cells) % 1) < 0.3) - 0.16 * (((v * cells) % 1) > 0.75)
    stone = colour * lit[..., None]
    return mix(np.broadcast_to(grout, picture.shape), stone, smoothstep(0.04, 0.13, edge))


def glass(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Panes of coloured glass held by dark leads."""
    size = picture.shape[0]
    y, x = grid(size)
    cells = round(22 - 13 * settings["scale"])
    bend = 0.012 * settings["turn"]
    _, gap, cell = voronoi(
        rng,
        y + bend * fractal_noise(rng, size, 2.0),
        x + bend * fractal_noise(rng, size, 2.0),
        cells,
    )
    colour = cell_means(picture, cell)
    grey = colour.mean(axis=2, keepdims=True)
    vivid = grey + (colour - grey) * (1.3 + 0.5 * settings["strength"])
    vivid = vivid + cell_noise(rng, cell) * (0.03 + 0.12 * settings["variety"])
    glow = 0.85 + 0.5 * np.clip(gap * cells, 0, 0.6) + 0.05 * fractal_noise(rng, size, 1.0)
    lead = smoothstep(0.004, 0.009 + 0.004 * settings["relief"], gap)
    dark = np.array([0.05, 0.05, 0.07], dtype=np.float32)
    return mix(np.broadcast_to(dark, picture.shape), vivid * glow[..., None], lead)


def cubism(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Large facets, each with its own gradient of light and a drawn edge."""
    size = picture.shape[0]
    y, x = grid(size)
    cells = round(13 - 7 * settings["scale"])
    _, gap, cell = voronoi(rng, y, x, cells)
    way = rng.uniform(0, 2 * np.pi, 4096)[cell % 4096]
    ramp = np.sin(2 * np.pi * (x * np.cos(way) + y * np.sin(way)) * cells * 0.35)
    colour = mix(cell_means(picture, cell), blur(picture, 0.01), 0.55 - 0.35 * settings["strength"])
    colour = colour + cell_noise(rng, cell) * (0.03 + 0.09 * settings["variety"])
    brush = line_integral(fractal_noise(rng, size, 0.2), way.astype(np.float32), 0.03)
    light = 1 + (0.15 + 0.2 * settings["relief"]) * ramp + 0.07 * brush
    faceted = colour * light[..., None]
    return mix(faceted, faceted * 0.35, 1 - smoothstep(0.0, 0.008, gap))


def weave(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """A tapestry: threads over and under, each short piece of one colour."""
    size = picture.shape[0]
    y, x = grid(size)
    cells = round(72 - 34 * settings["scale"])
    row, column = np.floor(y * cells), np.floor(x * cells)
    over = (row + column) % 2
    cell = (row * 512 + column).astype(np.int64)
    colour = cell_means(picture, cell) + cell_noise(rng, cell) * (0.02 + 0.09 * settings["variety"])
    fy, fx = np.abs((y * cells) % 1 - 0.5) * 2, np.abs((x * cells) % 1 - 0.5) * 2
    across, along = np.where(over > 0, fy, fx), np.where(over > 0, fx, fy)
    light = 1.08 - (0.25 + 0.45 * settings["strength"]) * across**2 - 0.15 * along**4
    band = 1 + 0.06 * settings["relief"] * fractal_noise(rng, size, 0.6, stretch=(0.1, 1.0))
    return colour * (light * band)[..., None]


def cell_means(picture: Picture, cell: Field) -> Picture:
    """Every pixel replaced by the mean colour of its cell; `cell` [H, W] holds cell numbers."""
    _, index = np.unique(cell, return_inverse=True)
    index = index.ravel()
    count = np.maximum(np.bincount(index), 1)
    means = [np.bincount(index, picture[:, :, k].ravel()) / count for k in range(3)]
    return np.stack(means, -1)[index].reshape(picture.shape).astype(np.float32)


def cell_noise(rng: Rng, cell: Field) -> Picture:
    """Gaussian colour noise [H, W, 3], one value a cell, mostly in lightness."""
    _, index = np.unique(cell, return_inverse=True)
    count = int(index.max()) + 1
    noise = rng.normal(0, 0.8, (count, 1)) + rng.normal(0, 0.5, (count, 3))
    return noise[index.ravel()].reshape(*cell.shape, 3).astype(np.float32)
