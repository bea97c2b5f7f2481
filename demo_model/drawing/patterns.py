"""All-over pictures with the statistics of photographs: dead leaves, pebbles, drifting colour."""

from __future__ import annotations

import numpy as np

from demo_model.drawing.colour import lch, oklab_to_rgb, random_palette
from demo_model.drawing.fields import (
    Picture,
    Rng,
    blur,
    fractal_noise,
    grid,
    mix,
    sample,
    smoothstep,
)
from demo_model.drawing.objects import texture


def dead_leaves(rng: Rng, size: int) -> Picture:
    """Overlapping shapes with radii of density r^-3 (Lee, Mumford and Huang 2001), shaded."""
    y, x = grid(size)
    hue, spread = rng.random(), rng.uniform(0.05, 0.4)
    picture = drifts(rng, size) * 0.6
    skins = [texture(rng, size) for _ in range(5)]
    count, least = int(rng.integers(60, 160)), rng.uniform(0.02, 0.05)
    radii = least / np.sqrt(rng.uniform((least / 0.4) ** 2, 1.0, count))
    depth_blur = rng.random() < 0.4
    for k, radius in enumerate(np.sort(radii)[::-1] if rng.random() < 0.5 else radii):
        x0, y0, turn = rng.random(), rng.random(), rng.uniform(0, 6.3)
        y1, y2 = (int(np.clip((y0 + s * radius * 1.6) * size, 0, size)) for s in (-1, 1))
        x1, x2 = (int(np.clip((x0 + s * radius * 1.6) * size, 0, size)) for s in (-1, 1))
        if y2 - y1 < 2 or x2 - x1 < 2:
            continue
        window = (slice(y1, y2), slice(x1, x2))
        dx, dy = (x[window] - x0) / radius, (y[window] - y0) / radius
        u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        kind = k % 3
        if kind == 0:
            d = np.hypot(u, v * rng.uniform(1.0, 2.0)) - 1
        elif kind == 1:
            d = np.maximum(np.abs(u), np.abs(v * rng.uniform(1.0, 2.5))) - 0.9
        else:
            d = np.hypot(u, v) - 0.75 - 0.3 * np.cos(rng.integers(3, 6) * np.arctan2(v, u))
        colour = lch(rng.uniform(0.2, 0.95), rng.uniform(0, 0.16), hue + spread * rng.normal())
        light = (1.0 + 0.35 * (-dx - dy) * rng.uniform(0, 1)) * skins[int(rng.integers(5))][window]
        distance = (d * radius).astype(np.float32)
        mask = np.clip(0.5 - distance * size, 0.0, 1.0)
        under = 1 - 0.4 * np.clip(1 - np.abs(distance) / 0.02, 0, 1)
        picture[window] = mix(picture[window] * under[..., None], colour * light[..., None], mask)
        if depth_blur and k == count // 2:
            picture = blur(picture, rng.uniform(0.003, 0.012))
    return picture


def pebbles(rng: Rng, size: int) -> Picture:
    """Rounded cells of a jittered grid, each shaded like a stone."""
    y, x = grid(size)
    cells = int(rng.integers(5, 16))
    warp = 0.25 * rng.random() / cells
    _, gap, index = voronoi(
        rng,
        y + warp * fractal_noise(rng, size, 1.8),
        x + warp * fractal_noise(rng, size, 1.8),
        cells,
    )
    hue = rng.random()
    tone, chroma = rng.uniform(0.35, 0.9, 1024), rng.uniform(0, 0.1, 1024)
    turn = 2 * np.pi * (hue + 0.15 * rng.standard_normal(1024))
    lab = np.stack([tone, chroma * np.cos(turn), chroma * np.sin(turn)], -1).astype(np.float32)
    colour = oklab_to_rgb(lab)[index % 1024]
    dome = np.sqrt(np.clip(gap * cells * 1.2, 0, 1))
    gy, gx = np.gradient(blur(dome.astype(np.float32), 0.006))
    relief = 1 - 0.14 * size / 64 * (gx + gy) * rng.uniform(2, 6)
    grain = np.exp(0.15 * fractal_noise(rng, size, 0.7))
    light = np.clip(relief, 0.3, 1.8) * grain * (0.35 + 0.65 * dome)
    return (colour * light[..., None]).astype(np.float32)


def voronoi(rng: Rng, y: Picture, x: Picture, cells: int) -> tuple[Picture, Picture, Picture]:
    """Worley noise (1996) on a jittered grid: nearest distance, F2 - F1, and the cell's number."""
    jitter = rng.uniform(0.1, 0.9, (2, cells + 4, cells + 4)).astype(np.float32)
    cy, cx = np.floor(y * cells).astype(np.int32), np.floor(x * cells).astype(np.int32)
    first = np.full(y.shape, 9.0, dtype=np.float32)
    second = first.copy()
    index = np.zeros(y.shape, dtype=np.int64)
    for oy in (-1, 0, 1):
        for ox in (-1, 0, 1):
            iy, ix = np.clip(cy + oy + 2, 0, cells + 3), np.clip(cx + ox + 2, 0, cells + 3)
            d = np.hypot(
                y * cells - iy + 2 - jitter[0, iy, ix], x * cells - ix + 2 - jitter[1, iy, ix]
            )
            nearer = d < first
            second = np.where(nearer, first, np.minimum(second, d))
            index = np.where(nearer, iy * (cells + 4) + ix, index)
            first = np.where(nearer, d, first)
    return first / cells, (second - first) / cells, index


def drifts(rng: Rng, size: int) -> Picture:
    """Clouds of colour and folds of cloth: noise warped by noise, at any sharpness."""
    y, x = grid(size)
    slope = rng.uniform(1.0, 2.4)
    warp = rng.uniform(0.0, 0.12)
    tone = sample(
        fractal_noise(rng, size, slope),
        y + warp * fractal_noise(rng, size, 2.0),
        x + warp * fractal_noise(rng, size, 2.0),
    )
    if rng.random() < 0.4:
        tone = np.sin(tone * rng.uniform(2, 6))
    light = smoothstep(-2.0, 2.0, tone)
    warmth = smoothstep(-1.0, 1.0, fractal_noise(rng, size, 1.8))
    picture = random_palette(rng).paint(light, warmth)
    fine = fractal_noise(rng, size, rng.uniform(0.3, 1.2))
    return picture * np.exp(rng.uniform(0.0, 0.15) * fine)[..., None]
