"""Outdoor scenes: sky, ridges in the haze, water, trees, boats."""

from __future__ import annotations

import numpy as np

from demo_model.drawing.colour import lch
from demo_model.drawing.fields import (
    Field,
    Picture,
    Rng,
    blur,
    coverage,
    fractal_noise,
    grid,
    mix,
    sample,
    smoothstep,
)


def sky(rng: Rng, size: int) -> Picture:
    """A sky from zenith to horizon, with clouds and at times a sun."""
    y, x = grid(size)
    hour = rng.random()
    if hour < 0.6:
        top, low = lch(rng.uniform(0.5, 0.72), 0.12, rng.uniform(0.66, 0.74)), lch(0.92, 0.04, 0.6)
    elif hour < 0.88:
        top, low = lch(rng.uniform(0.4, 0.6), 0.1, rng.uniform(0.72, 0.95)), lch(0.85, 0.12, 0.18)
    else:
        top, low = lch(0.2, 0.07, 0.75), lch(0.5, 0.08, 0.8)
    picture = mix(np.broadcast_to(top, (size, size, 3)), low, smoothstep(0.0, 0.65, y))
    if rng.random() < 0.55:
        sun_x, sun_y, radius = (
            rng.uniform(0.15, 0.85),
            rng.uniform(0.1, 0.4),
            rng.uniform(0.02, 0.06),
        )
        away = np.hypot(x - sun_x, y - sun_y)
        warm = lch(0.95, 0.1, 0.26)
        picture = mix(picture, warm, 0.6 * np.exp(-((away / (radius * 4)) ** 1.2)))
        picture = mix(picture, lch(0.98, 0.05, 0.28), coverage((away - radius).astype(np.float32)))
    cloud = fractal_noise(rng, size, 1.7, stretch=(0.35, 1.0))
    amount = rng.uniform(-0.4, 1.2)
    mask = smoothstep(amount, amount + 1.6, cloud) * (1 - 0.5 * y)
    lit = mix(
        np.broadcast_to(lch(0.97, 0.02, 0.2), picture.shape),
        lch(0.62, 0.04, 0.75),
        smoothstep(0.3, 2.2, cloud + 1.2 * fractal_noise(rng, size, 1.3) * 0.3),
    )
    return mix(picture, lit, mask)


def ridge(rng: Rng, size: int, height: float, rough: float) -> Field:
    """Height [size] of a skyline as y in (0, 1), from one-dimensional 1/f noise."""
    f = np.fft.rfftfreq(size) * size
    f[0] = 1.0
    spectrum = np.fft.rfft(rng.standard_normal(size * 2))[: len(f)] * f ** -rng.uniform(1.1, 1.7)
    spectrum[0] = 0
    line = np.fft.irfft(spectrum, n=size)
    return (height - rough * line / (np.abs(line).max() + 1e-6)).astype(np.float32)


def ground(rng: Rng, size: int, colour: Picture, contrast: float, scale: float = 0.02) -> Picture:
    """A textured surface [size, size, 3] around one colour, finer towards the top."""
    y, x = grid(size)
    near = 0.25 + 0.75 * y
    noise = 0.6 * fractal_noise(rng, size, 1.1) + 0.6 * sample(
        fractal_noise(rng, size, 0.6, finest=scale * 0.3), y, 0.5 + (x - 0.5) * near
    )
    shade = np.exp(contrast * noise)[..., None]
    other = colour * lch(0.9, 0.08, float(rng.random()))
    return mix(colour * shade, other * shade, smoothstep(-0.5, 1.5, fractal_noise(rng, size, 1.5)))


def add_ridges(rng: Rng, picture: Picture, horizon: float, count: int) -> Picture:
    """Mountains or hills, one behind the other, paler with distance."""
    size = picture.shape[0]
    y, _ = grid(size)
    hue = float(rng.choice([0.68, 0.75, 0.4, 0.2, 0.12])) + rng.normal(0, 0.03)
    haze = picture[int(size * horizon * 0.9)].mean(axis=0)
    rough = rng.uniform(0.06, 0.22)
    for k in range(count):
        near = (k + 1) / count
        line = ridge(rng, size, horizon - 0.12 * (1 - near) - 0.02, rough * (1.1 - 0.5 * near))
        colour = lch(0.62 - 0.3 * near, 0.03 + 0.06 * near, hue + 0.1 * near * rng.normal())
        body = ground(rng, size, colour, 0.12 + 0.2 * near)
        slope = np.gradient(blur(np.tile(line[None], (size, 1)), 0.01)[0]) * size
        relief = fractal_noise(rng, size, 1.4, stretch=(0.7, 1.0))
        body = body * (1 + 0.25 * np.tanh(slope)[None, :, None] + 0.18 * relief[..., None])
        picture = mix(picture, mix(body, haze, 0.6 * (1 - near)), coverage(line[None] - y))
    return picture


def add_tree(rng: Rng, picture: Picture, x0: float, foot: float, tall: float) -> Picture:
    """A broad tree or a conifer at foot (x0, foot), `tall` high."""
    y, x = grid(picture.shape[0])
    size = picture.shape[0]
    leaf = lch(rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.13), rng.choice([0.36, 0.33, 0.2, 0.12]))
    trunk = np.maximum(np.abs(x - x0) - 0.025 * tall, np.maximum(y - foot, foot - 0.6 * tall - y))
    picture = mix(picture, lch(0.28, 0.04, 0.15), coverage(trunk))
    edge = fractal_noise(rng, size, 0.9) * 0.05 * tall
    if rng.random() < 0.4:
        t = np.clip((y - foot + tall) / (0.85 * tall), 0.0, 1.0)
        saw = 0.5 + 0.5 * ((t * 6) % 1.0)
        shape = np.abs(x - x0) - 0.25 * tall * t * saw + 0.5 * edge
        shape = np.maximum(shape, np.maximum(foot - tall - y, y - foot + 0.15 * tall))
        light = 0.75 - 0.35 * (x - x0) / (0.25 * tall) - 0.3 * saw
    else:
        r = np.hypot((x - x0) / 0.42, (y - foot + 0.66 * tall) / 0.36)
        shape = (r - tall) * 0.36 + edge * 1.6
        light = 0.6 - 0.6 * (x - x0) / tall - 0.7 * (y - foot + 0.66 * tall) / tall
    clumps = fractal_noise(rng, size, 0.8, finest=0.015)
    crown = leaf * np.clip(light + 0.45 + 0.28 * clumps, 0.15, 1.9)[..., None]
    return mix(picture, crown, coverage(shape.astype(np.float32)))


def add_water(rng: Rng, picture: Picture, horizon: float) -> Picture:
    """Mirror what lies above the horizon in rippled water."""
    y, x = grid(picture.shape[0])
    size = picture.shape[0]
    depth = np.clip(y - horizon, 0.0, 1.0)
    wave = fractal_noise(rng, size, 0.8, stretch=(0.18, 1.0))
    mirrored = sample(picture, horizon - depth * 0.9 + wave * 0.025 * depth**0.6, x + wave * 0.01)
    tint = lch(rng.uniform(0.35, 0.65), 0.07, rng.uniform(0.52, 0.72))
    water = mix(mirrored, tint, 0.25 + 0.3 * smoothstep(0.0, 0.5, depth.astype(np.float32)))
    water = water * (1 + 0.1 * wave * smoothstep(0.0, 0.3, depth.astype(np.float32)))[..., None]
    return mix(picture, water, coverage(horizon - y))


def add_boat(rng: Rng, picture: Picture, x0: float, foot: float, scale: float) -> Picture:
    """A sailing boat with one or two sails."""
    y, x = grid(picture.shape[0])
    u, v = (x - x0) / scale, (foot - y) / scale
    hull = np.maximum(np.abs(u) - 0.45 - 0.25 * v, np.maximum(-v, v - 0.2)) * scale
    right = np.maximum(np.maximum(0.03 - u, v - 1.5 + 2.3 * u), 0.28 - v) * scale
    left = np.maximum(np.maximum(u + 0.03, v - 1.25 - 2.4 * u), 0.28 - v) * scale
    sail = lch(rng.uniform(0.8, 0.97), rng.uniform(0.01, 0.14), rng.uniform(0.05, 0.35))
    shade = (0.82 + 0.25 * np.clip(u + 0.3, -0.4, 0.6))[..., None]
    picture = mix(picture, sail * shade, coverage(right))
    picture = mix(picture, sail * (shade - 0.15), coverage(left))
    return mix(picture, lch(0.35, 0.11, rng.choice([0.06, 0.7, 0.15])), coverage(hull))


def hills(rng: Rng, size: int) -> Picture:
    """Ridges behind a field with trees."""
    horizon = rng.uniform(0.45, 0.65)
    picture = add_ridges(rng, sky(rng, size), horizon, int(rng.integers(2, 5)))
    y, _ = grid(size)
    field = ground(rng, size, lch(rng.uniform(0.5, 0.75), 0.1, rng.choice([0.3, 0.36, 0.22])), 0.2)
    line = ridge(rng, size, horizon, 0.03)
    picture = mix(picture, field * (0.7 + 0.45 * y)[..., None], coverage(line[None] - y))
    for foot in np.sort(rng.uniform(horizon + 0.03, 0.95, int(rng.integers(2, 6)))):
        tall = 0.1 + 0.9 * (foot - horizon) * rng.uniform(0.6, 1.2)
        picture = add_tree(rng, picture, rng.uniform(0.05, 0.95), foot, tall)
    return picture


def lake(rng: Rng, size: int) -> Picture:
    """Mountains and trees mirrored in water."""
    horizon = rng.uniform(0.5, 0.66)
    picture = add_ridges(rng, sky(rng, size), horizon, int(rng.integers(2, 4)))
    for _ in range(int(rng.integers(2, 7))):
        picture = add_tree(rng, picture, rng.uniform(0, 1), horizon + 0.01, rng.uniform(0.08, 0.3))
    picture = add_water(rng, picture, horizon)
    if rng.random() < 0.5:
        picture = add_tree(rng, picture, rng.choice([0.08, 0.92]), 1.02, rng.uniform(0.6, 0.9))
    return picture


def sea(rng: Rng, size: int) -> Picture:
    """Boats under a wide sky."""
    horizon = rng.uniform(0.45, 0.6)
    picture = sky(rng, size)
    if rng.random() < 0.5:
        picture = add_ridges(rng, picture, horizon, 1)
    feet = np.sort(rng.uniform(horizon, 0.85, int(rng.integers(1, 4))))
    places = rng.permutation(np.linspace(0.2, 0.8, len(feet) + 1))
    picture = add_boat(rng, picture, places[0], horizon + 0.005, rng.uniform(0.06, 0.12))
    picture = add_water(rng, picture, horizon)
    for foot, place in zip(feet, places[1:], strict=False):
        scale = 0.1 + 0.5 * (foot - horizon)
        picture = add_boat(rng, picture, place, foot, scale)
    return picture


def meadow(rng: Rng, size: int) -> Picture:
    """A field of small flowers running to the horizon."""
    y, x = grid(size)
    horizon = rng.uniform(0.25, 0.45)
    picture = add_ridges(rng, sky(rng, size), horizon, 2)
    base = ground(rng, size, lch(rng.uniform(0.45, 0.65), 0.11, 0.36), 0.3, 0.01)
    depth = np.clip(y - horizon, 1e-3, 1.0)
    for _ in range(int(rng.integers(1, 4))):
        tint = lch(rng.uniform(0.6, 0.9), rng.uniform(0.1, 0.2), rng.random())
        dots = fractal_noise(rng, size, 0.35, finest=0.02)
        far = sample(dots, (0.08 / depth) % 1.0, (0.5 + (x - 0.5) * 0.5 / depth) % 1.0)
        base = mix(base, tint, smoothstep(0.9, 1.5, np.where(y > 0.6, dots, far)))
    return mix(picture, base * (0.75 + 0.35 * y)[..., None], coverage(horizon - y))
