"""Shaded things on a table, and flowers."""

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
    smoothstep,
)


def texture(rng: Rng, size: int) -> Field:
    """A surface pattern [size, size] around 1: plain, mottled, grained, striped or chequered."""
    y, x = grid(size)
    kind = rng.random()
    if kind < 0.3:
        return 1 + 0.04 * fractal_noise(rng, size, 1.0)
    if kind < 0.55:
        return np.exp(0.22 * fractal_noise(rng, size, 0.8)).astype(np.float32)
    if kind < 0.75:
        return np.exp(0.25 * fractal_noise(rng, size, 0.9, stretch=(0.12, 1.0))).astype(np.float32)
    turn, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.12)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    wave = np.sin(2 * np.pi * u / period)
    if kind > 0.88:
        wave = wave * np.sin(2 * np.pi * v / period)
    return (1 + rng.uniform(0.1, 0.35) * np.tanh(3 * wave)).astype(np.float32)


def backdrop(rng: Rng, size: int, edge: float) -> Picture:
    """A wall and a table that meet at y = `edge`, lit from one side."""
    y, x = grid(size)
    hue = rng.random()
    wall = lch(rng.uniform(0.3, 0.85), rng.uniform(0.01, 0.08), hue)
    table = lch(rng.uniform(0.35, 0.75), rng.uniform(0.03, 0.1), rng.choice([0.15, 0.2, hue + 0.5]))
    fall = 1.15 - rng.uniform(0.2, 0.7) * np.hypot(x - rng.choice([0.0, 1.0]), y - 0.2)
    spots = blur(np.exp(0.12 * fractal_noise(rng, size, 1.4)), 0.004)
    back = wall * (fall * spots)[..., None]
    front = table * (texture(rng, size) * (0.75 + 0.4 * y))[..., None]
    return mix(back, front, coverage(edge - y))


def still_life(rng: Rng, size: int) -> Picture:
    """Fruit, vases, boxes and cylinders on a table, with shadows."""
    edge = rng.uniform(0.4, 0.6)
    picture = backdrop(rng, size, edge)
    light = np.array([rng.choice([-1, 1]) * rng.uniform(0.4, 0.8), -0.7, 0.6], dtype=np.float32)
    light /= np.linalg.norm(light)
    count = int(rng.integers(3, 7))
    places = rng.permutation(np.linspace(0.15, 0.85, count)) + rng.normal(0, 0.03, count)
    for k, foot in enumerate(np.sort(rng.uniform(edge + 0.12, 0.93, count))):
        scale = rng.uniform(0.09, 0.2) * (0.6 + 0.6 * foot)
        maker = (fruit, vase, box, fruit)[int(rng.integers(4))]
        picture = shadow(picture, places[k], foot, scale, light)
        picture = maker(rng, picture, places[k], foot, scale, light)
    return picture


def shadow(picture: Picture, x0: float, foot: float, scale: float, light: Field) -> Picture:
    """Darken the table where an object of half-width `scale` keeps the light away."""
    y, x = grid(picture.shape[0])
    u = (x - x0 + light[0] * scale * 1.1) / (1.5 * scale)
    v = (y - foot + 0.1 * scale) / (0.4 * scale)
    dark = 0.6 * np.exp(-((u * u + v * v) ** 1.5)) * smoothstep(-1.6, -0.6, v)
    return picture * (1 - dark)[..., None]


def shade(
    rng: Rng, colour: Picture, normal: tuple[Field, Field, Field], light: Field, gloss: float
) -> Picture:
    """Lambert and Blinn-Phong shading of a surface with unit normals (x, y, z)."""
    nx, ny, nz = normal
    facing = np.clip(nx * light[0] + ny * light[1] + nz * light[2], 0, 1)
    half = light + np.array([0, 0, 1], dtype=np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1) ** 40
    skin = texture(rng, nx.shape[0])[..., None]
    lit = colour * skin * (0.28 + 0.95 * facing + 0.12 * np.clip(ny, 0, 1))[..., None]
    return (lit + gloss * shine[..., None]).astype(np.float32)


def fruit(
    rng: Rng, picture: Picture, x0: float, foot: float, scale: float, light: Field
) -> Picture:
    """A ball, a little uneven, with a stalk at times."""
    y, x = grid(picture.shape[0])
    u, v = (x - x0) / scale, (y - foot + scale * 0.95) / (scale * rng.uniform(0.9, 1.05))
    r = np.hypot(u, v) * (1 + 0.03 * np.sin(3 * np.arctan2(v, u) + rng.uniform(0, 6)))
    z = np.sqrt(np.clip(1 - r * r, 0, 1))
    skin = lch(rng.uniform(0.5, 0.82), rng.uniform(0.1, 0.19), rng.choice([0.08, 0.16, 0.25, 0.35]))
    body = shade(rng, skin, (u, v, z), light, rng.uniform(0.1, 0.6))
    picture = mix(picture, body, coverage((r - 1) * scale))
    if rng.random() < 0.6:
        stalk = (
            np.hypot((x - x0 - 0.1 * (foot - y)) / 0.07, (y - foot + 1.95 * scale) / 0.3) - scale
        )
        picture = mix(picture, lch(0.3, 0.06, 0.25), coverage(stalk * 0.07))
    return picture


def vase(rng: Rng, picture: Picture, x0: float, foot: float, scale: float, light: Field) -> Picture:
    """A turned vessel: its outline is a smooth random profile."""
    y, x = grid(picture.shape[0])
    tall = scale * rng.uniform(2.2, 3.6)
    v = (foot - y) / tall
    waves = rng.uniform(-0.28, 0.28, 3)
    profile = 0.72 + sum(w * np.cos((k + 1) * np.pi * v + k) for k, w in enumerate(waves))
    profile = np.clip(profile, 0.25, 1.1) * scale
    u = (x - x0) / profile
    nx = np.clip(u, -1, 1)
    ny = -np.gradient(profile, axis=0) * picture.shape[0] * 0.6
    nz = np.sqrt(np.clip(1 - nx * nx, 0, 1))
    length = np.sqrt(nx**2 + ny**2 + nz**2) + 1e-6
    glaze = lch(rng.uniform(0.4, 0.85), rng.uniform(0.02, 0.14), rng.random())
    body = shade(rng, glaze, (nx / length, ny / length, nz / length), light, rng.uniform(0.1, 0.7))
    bottom = 0.12 * np.sqrt(np.clip(1 - u * u, 0, 1)) * scale
    shape = np.maximum((np.abs(u) - 1) * profile, np.maximum(y - foot - bottom, foot - tall - y))
    picture = mix(picture, body, coverage(shape.astype(np.float32)))
    mouth = np.hypot(u, (y - foot + tall) / (0.22 * profile)) - 1
    return mix(picture, glaze * 0.3, coverage((mouth * 0.2 * profile).astype(np.float32)))


def box(rng: Rng, picture: Picture, x0: float, foot: float, scale: float, light: Field) -> Picture:
    """A box or a book seen from above one corner."""
    y, x = grid(picture.shape[0])
    tall, corner = scale * rng.uniform(0.5, 1.6), rng.uniform(-0.4, 0.4)
    u, v = (x - x0) / scale, (foot - y) / scale
    lift, h = 0.35, tall / scale
    paint = lch(rng.uniform(0.45, 0.85), rng.uniform(0.02, 0.13), rng.random())
    pattern = texture(rng, picture.shape[0])[..., None]
    slant_left, slant_right = lift * (corner - u), lift * (u - corner)
    base = np.where(u < corner, slant_left, slant_right)
    front = np.maximum(np.abs(u) - 1, np.maximum(base - v, v - base - h)) * scale
    rear = 2 * lift - np.where(u < -corner, lift * (-corner - u), lift * (u + corner))
    top = np.maximum(np.abs(u) - 1, np.maximum(base + h - v, v - h - rear)) * scale
    left_lit = np.where((u < corner) == (light[0] < 0), 0.95, 0.5)[..., None]
    picture = mix(picture, paint * pattern * left_lit, coverage(front.astype(np.float32)))
    return mix(picture, paint * pattern * 1.15, coverage(top.astype(np.float32)))


def flowers(rng: Rng, size: int) -> Picture:
    """Blooms with shaded petals before a soft background of leaves."""
    y, x = grid(size)
    deep = lch(rng.uniform(0.25, 0.5), 0.07, rng.uniform(0.3, 0.42))
    soft = fractal_noise(rng, size, 1.5, finest=0.04)
    picture = deep * np.exp(0.45 * soft)[..., None]
    for _ in range(int(rng.integers(8, 20))):
        picture = _leaf(rng, picture, lch(rng.uniform(0.3, 0.62), 0.1, rng.uniform(0.3, 0.42)))
    if rng.random() < 0.6:
        picture = blur(picture, rng.uniform(0.004, 0.012))
    hue, petals = rng.random(), int(rng.integers(5, 12))
    count = int(rng.integers(3, 9))
    for radius in np.sort(rng.uniform(0.07, 0.24, count) * (1.4 if count < 5 else 0.9)):
        x0, y0, phase = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0, 6.3)
        u, v = (x - x0) / radius, (y - y0) / radius * rng.uniform(1.0, 1.5)
        r, a = np.hypot(u, v), np.arctan2(v, u) + phase
        petal = np.abs(np.cos(a * petals / 2))
        edge = 0.45 + 0.55 * petal ** rng.uniform(0.3, 0.8)
        skin = lch(rng.uniform(0.6, 0.92), rng.uniform(0.06, 0.18), hue + rng.normal(0, 0.06))
        vein = 1 + 0.08 * np.sin(a * petals * 6) * r
        light = (0.55 + 0.45 * petal) * (0.55 + 0.5 * r) * vein * (1.0 - 0.25 * (u + v) * 0.7)
        dark = np.exp(-((np.hypot(u + 0.15, v - 0.2) / 1.05) ** 6)) * 0.45
        picture = picture * (1 - dark)[..., None]
        picture = mix(picture, skin * light[..., None], coverage((r - edge) * radius))
        grain = 1 + 0.25 * fractal_noise(rng, size, 0.4)
        heart = (
            lch(rng.uniform(0.4, 0.85), 0.13, rng.uniform(0.15, 0.3)) * (1.1 - r * 1.2)[..., None]
        )
        picture = mix(picture, heart * grain[..., None], coverage((r - 0.27) * radius))
    return picture


def _leaf(rng: Rng, picture: Picture, colour: Picture) -> Picture:
    y, x = grid(picture.shape[0])
    turn, long = rng.uniform(0, 6.3), rng.uniform(0.1, 0.3)
    dx, dy = x - rng.random(), y - rng.random()
    u = (dx * np.cos(turn) + dy * np.sin(turn)) / long
    v = (dy * np.cos(turn) - dx * np.sin(turn)) / long
    shape = (np.abs(v) - 0.28 * np.sqrt(np.clip(1 - u * u, 0, 1)) * (1 - 0.3 * u)) * long
    veins = 1 + 0.15 * np.sign(v) + 0.12 * np.sin((u - np.abs(v)) * 40)
    return mix(picture, colour * veins[..., None], coverage(shape.astype(np.float32)))
