"""Colour: the OKLab space, and palettes that map tone and warmth to paint.

OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demo_model.drawing.fields import Field, Picture, Rng, blur, luminance

_TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929],
     [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]], dtype=np.float32,
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468],
     [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]], dtype=np.float32,
)  # fmt: skip
_FROM_LMS = np.linalg.inv(_TO_LMS)
_FROM_LAB = np.linalg.inv(_TO_LAB)


def rgb_to_oklab(rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """sRGB [..., 3] in [0, 1] to OKLab [..., 3]: lightness in [0, 1], a and b about +-0.3."""
    linear = np.where(rgb > 0.04045, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    return (np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T).astype(np.float32)


def oklab_to_rgb(lab: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """OKLab [..., 3] to sRGB [..., 3], clipped to [0, 1]."""
    linear = np.clip((lab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T, 0.0, 1.0)
    rgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return rgb.astype(np.float32)


def lch(lightness: float, chroma: float, hue: float) -> npt.NDArray[Any]:
    """sRGB of an OKLCh colour; hue in turns (0 pink-red, 0.08 red, 0.3 green-yellow, 0.7 blue)."""
    a, b = chroma * np.cos(2 * np.pi * hue), chroma * np.sin(2 * np.pi * hue)
    return oklab_to_rgb(np.array([lightness, a, b], dtype=np.float32))


@dataclass(frozen=True)
class Palette:
    """Two ramps of paint from dark to light, OKLab [n, 3]: one for cool places, one for warm."""

    cool: npt.NDArray[Any]
    warm: npt.NDArray[Any]

    def paint(self, tone: Field, warmth: Field) -> Picture:
        """sRGB picture from tone [H, W] in [0, 1] and warmth [H, W] in [0, 1]."""
        cool, warm = _along(self.cool, tone), _along(self.warm, tone)
        return oklab_to_rgb((cool + (warm - cool) * warmth[..., None]).astype(np.float32))

    def recolour(self, picture: Picture, keep: float = 0.0) -> Picture:
        """The picture in this palette; `keep` in [0, 1] is the share of its own chroma left."""
        tone, warmth = tone_and_warmth(picture)
        painted = self.paint(tone, warmth)
        if keep <= 0.0:
            return painted
        lab = rgb_to_oklab(painted)
        lab[..., 1:] += keep * rgb_to_oklab(picture)[..., 1:]
        return oklab_to_rgb(lab)


def tone_and_warmth(picture: Picture) -> tuple[Field, Field]:
    """Tone, half way to equalised, and relative warmth of each place, both [H, W] in [0, 1]."""
    light = luminance(picture)
    edges = np.linspace(0.0, 1.0, 65)
    counts, _ = np.histogram(light, bins=edges)
    rank = np.interp(light, edges, np.concatenate([[0.0], np.cumsum(counts) / light.size]))
    tone = np.clip(0.45 * rank + 0.55 * light, 0.0, 1.0).astype(np.float32)
    lab = rgb_to_oklab(picture)
    heat = blur((lab[..., 2] + 0.7 * lab[..., 1]).astype(np.float32), 0.008)
    spread = max(float(heat.std()), 0.02)
    warmth = 1.0 / (1.0 + np.exp(-2.5 * (heat - heat.mean()) / spread))
    return tone, warmth.astype(np.float32)


def _along(ramp: npt.NDArray[Any], tone: Field) -> npt.NDArray[Any]:
    stops = np.linspace(0.0, 1.0, len(ramp))
    return np.stack([np.interp(tone, stops, ramp[:, k]) for k in range(3)], -1).astype(np.float32)


def palette_of(cool: str, warm: str) -> Palette:
    """Palette from two strings of hex colours, dark to light, as `"0b1030 1c3f8f ..."`."""
    return Palette(_ramp_of(cool), _ramp_of(warm))


def _ramp_of(colours: str) -> npt.NDArray[Any]:
    values = [[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colours.split()]
    return rgb_to_oklab(np.array(values, dtype=np.float32))


PALETTES: dict[str, Palette] = {
    "night": palette_of("070b24 12307c 2f6fc0 8fc1e6 e8f3f4", "070b24 3a4a2c c08a1c f2c53d fff3b0"),
    "wheat": palette_of("1d2a12 3f6b2a 86a93c d9d36a fbf3c4", "3a1503 a4480c e58a12 f8c62c fff0b3"),
    "ember": palette_of("12060c 43102a 7d1f3d c14a4a f2b59a", "1c0503 7a1206 d43a0e f9902a ffe3a0"),
    "wave": palette_of("0c1c3a 1f4b7e 4f8fb0 a9cfd0 f3ead6", "2a2018 7b5b3d bf9a6b e2cda2 f8f0dc"),
    "lilac": palette_of("1a1233 4b3a86 8f7cc8 c9b8e6 f5effa", "2d1030 8a3a78 d67fb0 f3c0cf fff2ea"),
    "jade": palette_of("04201d 0d5a50 35a08a 99d8b8 eef9e2", "1c2208 5e6a14 a9a437 e0d98a fbf8dc"),
    "ink": palette_of("0d0d10 2c2d33 6d6d70 b9b4a8 f4ecdc", "120d0a 3a2c24 80685a c4af98 f6ecd9"),
    "rust": palette_of("0d1b21 1e4650 4a8487 a6c3b4 f0ead2", "20100a 74301a b95f2c e3a765 f8e6bf"),
    "fauve": palette_of("10104a 1b3fb0 18a0a8 8fdc8a f6f7b0", "4a0636 c01252 f2502e fca13a fff09a"),
    "gold": palette_of("120d08 3b2c12 806420 c6a242 f6e8a8", "1c0c06 6a2d10 b86f1e e9bb4a fff2c0"),
    "sign": palette_of("0e1640 20409a 3f8fd0 b5dcea fdf7e6", "2a0820 a81838 ec4a34 f7b24a fff3d8"),
    "rose": palette_of("16202c 3c5a6a 7fa2a6 c9d6cc f8f2e8", "2e0d18 8c2a42 d26a74 f0b4a8 fdeee0"),
}  # fmt: skip


def random_palette(rng: Rng) -> Palette:
    """A curated palette, one time in three, or two random ramps of five colours."""
    if rng.random() < 0.33:
        return list(PALETTES.values())[int(rng.integers(len(PALETTES)))]
    hue = rng.random()
    other = hue + float(rng.choice([0.5, 0.33, 0.42, 0.12, 0.25])) + rng.normal(0, 0.03)
    vivid = float(rng.choice([0.04, 0.1, 0.16]))
    low, high = float(rng.uniform(0.08, 0.38)), float(rng.uniform(0.72, 0.98))
    ends = rng.random(2) < 0.3
    return Palette(
        _ramp(rng, hue, vivid, low, high, ends), _ramp(rng, other, vivid, low, high, ends)
    )


def _ramp(
    rng: Rng, hue: float, vivid: float, low: float, high: float, plain_ends: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    light = np.linspace(low, high, 5) + rng.normal(0, 0.02, 5)
    chroma = vivid * rng.uniform(0.5, 1.3, 5) * np.array([0.7, 1.0, 1.1, 1.0, 0.6])
    chroma[0] *= 0.2 if plain_ends[0] else 1.0
    chroma[-1] *= 0.2 if plain_ends[1] else 1.0
    hues = 2 * np.pi * (hue + rng.normal(0, 0.06) * np.linspace(-1, 1, 5) + rng.normal(0, 0.02, 5))
    ramp = np.stack([light, chroma * np.cos(hues), chroma * np.sin(hues)], axis=-1)
    return ramp.astype(np.float32)
