"""Pictures made of lines: swirling strokes, hatching, woodcut, marbling."""

from __future__ import annotations

import numpy as np

from demo_model.drawing.fields import (
    Field,
    Picture,
    Rng,
    blur,
    flow_along_edges,
    fractal_noise,
    grid,
    line_integral,
    luminance,
    mix,
    sample,
    smoothstep,
)
from demo_model.drawing.strokes import relief

Settings = dict[str, float]


def swirls(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Long wavy strokes, light beside dark, that stream around the forms."""
    size = picture.shape[0]
    scale = 0.008 + 0.01 * settings["scale"]
    angle = flow_along_edges(luminance(picture), rng, 0.035, 0.2 + settings["turn"])
    seeds = fractal_noise(rng, size, 0.1, finest=scale)
    stripes = line_integral(seeds, angle, 0.05 + 0.04 * settings["scale"])
    strokes = np.tanh(1.5 * stripes)
    soft = np.stack(
        [
            line_integral_mean(picture[:, :, k], angle, 0.02 + 0.02 * settings["scale"])
            for k in range(3)
        ],
        axis=-1,
    )
    amount = 0.12 + 0.2 * settings["strength"]
    tint = np.roll(soft.mean(axis=(0, 1)), 1) - soft.mean()
    painted = soft * (1 + amount * strokes)[..., None]
    painted = painted + (0.5 * settings["variety"] * tint) * np.clip(-strokes, 0, 1)[..., None]
    return relief(painted.astype(np.float32), strokes * 1.2, 0.2 + 0.5 * settings["relief"])


def line_integral_mean(field: Field, angle: Field, length: float) -> Field:
    """The field averaged along the flow, in its own units."""
    streaked = line_integral(field, angle, length)
    return (streaked * field.std() * 0.97 + field.mean()).astype(np.float32)


def hatching(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Pen lines in up to four directions; the darker the place, the more of them."""
    size = picture.shape[0]
    y, x = grid(size)
    tone = luminance(blur(picture, 0.004))
    low, high = np.quantile(tone, [0.02, 0.98])
    dark = 1 - np.clip((tone - low) / max(high - low, 0.05), 0, 1)
    order = np.argsort(tone, axis=None)
    flat = picture.reshape(-1, 3)
    ink = flat[order[: size * size // 12]].mean(axis=0) * 0.7
    paper = flat[order[-size * size // 8 :]].mean(axis=0) ** 0.5
    period = 0.014 + 0.02 * settings["scale"]
    wobble = 0.15 * period * fractal_noise(rng, size, 1.6)
    wash = np.clip(blur(picture, 0.012), 0, 1) ** 0.6
    out = mix(np.broadcast_to(paper, picture.shape), wash, 0.25 + 0.6 * settings["variety"])
    for k, level in enumerate((0.12, 0.38, 0.6, 0.8)):
        a = np.pi * settings["turn"] + (0.0, 1.25, 0.6, 2.1)[k]
        wave = np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a) + wobble) / period)
        weight = np.clip((dark - level) * 3.0, 0, 1) * (0.45 + 0.5 * settings["strength"])
        line = smoothstep(-0.35, 0.25, (wave + 1.6 * weight - 1.0).astype(np.float32))
        out = mix(out, ink, line * np.clip(weight * 4, 0, 1) * 0.9)
    return out


def woodcut(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Black lines that swell and taper with the tone, over one or two flat colours."""
    size = picture.shape[0]
    y, x = grid(size)
    tone = luminance(blur(picture, 0.006))
    rank = np.argsort(np.argsort(tone, axis=None)).reshape(tone.shape) / tone.size
    even = (0.5 * rank + 0.5 * (tone - tone.min()) / max(float(np.ptp(tone)), 0.05)).astype(
        np.float32
    )
    a = np.pi * settings["turn"]
    along = x * np.cos(a) + y * np.sin(a)
    bend = 0.04 * fractal_noise(rng, size, 2.2) + (0.02 + 0.04 * settings["relief"]) * blur(
        even, 0.03
    )
    period = 0.016 + 0.022 * settings["scale"]
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (along + bend) / period)
    carved = smoothstep(-0.12, 0.12, (even * 1.25 - 0.14 - (0.15 + 0.7 * wave)).astype(np.float32))
    flat = blur(picture, 0.01)
    steps = 3.0
    light = luminance(flat)
    poster = flat * ((np.floor(light * steps) + 0.75) / (light * steps + 0.25))[..., None]
    colour = mix(np.clip(poster, 0, 1) ** 0.75, flat, settings["variety"] * 0.5)
    ink = (
        picture.reshape(-1, 3)[np.argsort(tone, axis=None)[: size * size // 16]].mean(axis=0) * 0.5
    )
    return mix(np.broadcast_to(ink, picture.shape), colour, carved)


def marbling(picture: Picture, rng: Rng, settings: Settings) -> Picture:
    """Bands of floating colour drawn out by a comb; the scene shows as their light and dark."""
    size = picture.shape[0]
    y, x = grid(size)
    reach = 0.03 + 0.05 * settings["strength"]
    dy, dx = reach * fractal_noise(rng, size, 2.0), reach * fractal_noise(rng, size, 2.0)
    comb = 0.03 * np.sin(2 * np.pi * (x * np.cos(settings["turn"]) + y * 0.3) * 9)
    tone = blur(luminance(picture), 0.01)
    veins = sample(fractal_noise(rng, size, 1.7), y + dy + comb, x + dx)
    bands = np.sin(2 * np.pi * (veins * (1.0 + settings["scale"]) + 2.5 * tone))
    thread = smoothstep(0.0, 0.9, np.abs(bands).astype(np.float32))
    moved = sample(picture, y + 0.3 * dy + 0.3 * comb, x + 0.3 * dx)
    pool = np.roll(moved.mean(axis=(0, 1)), 1)
    light = moved * (0.72 + 0.45 * smoothstep(-0.6, 0.6, bands.astype(np.float32)))[..., None]
    light = mix(light, pool, 0.35 * settings["variety"] * (bands > 0.55))
    bright = np.clip(moved.max(axis=(0, 1)) * 1.1, 0, 1)
    return mix(light, bright, (1 - thread) * (0.3 + 0.4 * settings["relief"]))
