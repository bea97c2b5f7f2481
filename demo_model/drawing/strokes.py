"""Wet and dry media: oil strokes, dots of paint, watercolour, pastel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from demo_model.drawing.fields import (
    Field,
    Picture,
    Rng,
    blur,
    flow_along_edges,
    fractal_noise,
    line_integral,
    luminance,
    mix,
    smoothstep,
)

Settings = dict[str, float]


def oil(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Layers of strokes from broad to fine that follow the forms, lit like thick paint."""
    size = picture.shape[0]
    angle = flow_along_edges(luminance(picture), rng, 0.03, 0.1 + 0.6 * settings["turn"])
    width = size * (0.02 + 0.03 * settings["scale"])
    canvas, height = blur(picture, 0.02), np.zeros((size, size), dtype=np.float32)
    for layer, shrink in enumerate((1.0, 0.55, 0.3)):
        reference = blur(picture, 0.3 * width * shrink / size)
        error = np.abs(reference - canvas).sum(axis=2)
        wanted = error > (0.0, 0.1, 0.18)[layer]
        canvas, height = lay_strokes(
            rng, canvas, height, reference, angle, wanted, width * shrink, settings["variety"]
        )
    bristle = line_integral(rng.standard_normal((size, size)).astype(np.float32), angle, 0.03)
    return relief(canvas, height + 0.25 * bristle, 0.25 + 0.5 * settings["relief"])


def lay_strokes(
    rng: Rng,
    canvas: Picture,
    height: Field,
    reference: Picture,
    angle: Field,
    wanted: npt.NDArray[np.bool_],
    width: float,
    variety: float,
) -> tuple[Picture, Field]:
    """Draw straight strokes with round ends on a jittered grid where `wanted`; in random order."""
    size = canvas.shape[0]
    spacing = max(1.5, width * 0.7)
    ticks = np.arange(spacing / 2, size, spacing)
    y, x = (g.ravel() + rng.uniform(-0.5, 0.5, g.size) * spacing for g in np.meshgrid(ticks, ticks))
    y, x = np.clip(y, 0, size - 1), np.clip(x, 0, size - 1)
    keep = wanted[y.astype(int), x.astype(int)]
    order = rng.permutation(np.flatnonzero(keep))
    paint = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8), "RGB")
    thick = Image.fromarray((np.clip(height * 0.5 + 0.5, 0, 1) * 255).astype(np.uint8), "L")
    draw, pile = ImageDraw.Draw(paint), ImageDraw.Draw(thick)
    jitter = rng.normal(0, 0.02 + 0.1 * variety, (len(y), 1)) + rng.normal(
        0, 0.01 + 0.05 * variety, (len(y), 3)
    )
    long, wide = width * rng.uniform(1.2, 2.6, len(y)), max(1, round(width))
    for k in order:
        row, column = int(y[k]), int(x[k])
        a = float(angle[row, column])
        dx, dy = np.cos(a) * long[k] / 2, np.sin(a) * long[k] / 2
        colour = np.clip(reference[row, column] + jitter[k], 0, 1) * 255
        line = (x[k] - dx, y[k] - dy, x[k] + dx, y[k] + dy)
        draw.line(line, fill=(int(colour[0]), int(colour[1]), int(colour[2])), width=wide)
        pile.line(line, fill=int(rng.integers(40, 215)), width=wide)
    return _floats(paint), _floats(thick) * 2 - 1


def _floats(image: Image.Image) -> Picture:
    return np.asarray(image, dtype=np.float32) / 255.0


def relief(picture: Picture, height: Field, strength: float) -> Picture:
    """Light a painted surface of the given height from the upper left."""
    gy, gx = np.gradient(blur(height, 0.002))
    shine = np.clip(-(gx + gy) * 0.9, -0.5, 0.6) * strength
    return (picture * (1 + shine[..., None]) + 0.12 * np.clip(shine, 0, 1)[..., None]).astype(
        np.float32
    )


def pointillism(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Dots of pure paint whose mean is the colour of the place."""
    size = picture.shape[0]
    radius = size * (0.007 + 0.011 * settings["scale"])
    ground = np.array([0.93, 0.9, 0.82], dtype=np.float32)
    if settings["strength"] > 0.6:
        ground = picture.mean(axis=(0, 1)) * 0.6
    canvas = mix(picture, ground, 0.45)
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(image)
    spacing = radius * 1.35
    ticks = np.arange(0, size, spacing)
    y, x = (g.ravel() + rng.uniform(-0.6, 0.6, g.size) * spacing for g in np.meshgrid(ticks, ticks))
    soft = blur(picture, 0.5 * radius / size)
    colour = soft[np.clip(y, 0, size - 1).astype(int), np.clip(x, 0, size - 1).astype(int)]
    grey = colour.mean(axis=1, keepdims=True)
    vivid = grey + (colour - grey) * (1.2 + 0.6 * settings["strength"])
    vivid = vivid + rng.normal(0, 0.04 + 0.16 * settings["variety"], colour.shape)
    rgb = (np.clip(vivid, 0, 1) * 255).astype(int)
    r = radius * rng.uniform(0.65, 1.0, len(y))
    for k in rng.permutation(len(y)):
        draw.ellipse(
            (x[k] - r[k], y[k] - r[k], x[k] + r[k], y[k] + r[k]), fill=tuple(rgb[k].tolist())
        )
    return blur(_floats(image), 0.0016)


def watercolour(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Pale washes with dark rims, blooms and the grain of paper."""
    size = picture.shape[0]
    steps = 4 + int(4 * settings["scale"])
    soft = blur(picture, 0.008 + 0.008 * settings["strength"])
    soft = soft + 0.04 * fractal_noise(rng, size, 1.4)[..., None]
    light = luminance(soft) * steps
    flat = np.floor(light) + smoothstep(0.35, 0.65, (light % 1.0).astype(np.float32))
    washed = soft * (flat / np.maximum(light, 0.3))[..., None]
    gy, gx = np.gradient(blur(flat.astype(np.float32), 0.003))
    rim = np.clip(np.hypot(gy, gx) * 1.3, 0, 1)
    bloom = np.exp((0.1 + 0.15 * settings["variety"]) * fractal_noise(rng, size, 1.2))
    paper = 1 + (0.02 + 0.05 * settings["relief"]) * fractal_noise(rng, size, 0.3, finest=0.008)
    pale = 1 - (1 - np.clip(washed, 0, 1)) * (0.9 * bloom)[..., None]
    dark = pale * (1 - 0.35 * rim)[..., None]
    return (np.clip(dark, 0, 1) * paper[..., None]).astype(np.float32)


def pastel(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Chalk dragged over rough paper: strokes broken by the grain."""
    size = picture.shape[0]
    turn = np.full((size, size), np.pi * settings["turn"], dtype=np.float32)
    turn = turn + 0.25 * fractal_noise(rng, size, 2.0)
    strokes = line_integral(fractal_noise(rng, size, 0.25), turn, 0.03 + 0.05 * settings["scale"])
    tooth = fractal_noise(rng, size, 0.2, finest=0.01)
    paper = picture.mean(axis=(0, 1)) * (0.5 if settings["relief"] > 0.5 else 1.35)
    shift = blur(strokes, 0.004)[..., None] * rng.normal(0, 0.05 + 0.1 * settings["variety"], 3)
    chalk = blur(picture, 0.006) + shift.astype(np.float32)
    cover = smoothstep(-0.9, 0.5, 0.8 * strokes + 0.5 * tooth + 0.9 - 0.9 * settings["strength"])
    return mix(np.broadcast_to(paper.astype(np.float32), picture.shape), chalk, cover)
