"""Ways of painting. A `Look` is a technique, its settings and a palette; it paints any scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from demo_model.drawing.colour import PALETTES, Palette, random_palette
from demo_model.drawing.fields import Picture, Rng
from demo_model.drawing.lines import hatching, marbling, swirls, woodcut
from demo_model.drawing.strokes import oil, pastel, pointillism, watercolour
from demo_model.drawing.tiles import cubism, glass, mosaic, weave

Technique = Callable[[Picture, Rng, dict[str, float]], Picture]

LOOKS: dict[str, tuple[Technique, tuple[str, ...]]] = {
    "swirls": (swirls, ("night", "wheat", "jade")),
    "mosaic": (mosaic, ("rust", "wave", "jade")),
    "oil": (oil, ("ember", "rose", "fauve")),
    "pointillism": (pointillism, ("wheat", "lilac", "fauve")),
    "woodcut": (woodcut, ("wave", "ink", "ember")),
    "glass": (glass, ("sign", "fauve", "night")),
    "watercolour": (watercolour, ("rose", "lilac", "wave")),
    "hatching": (hatching, ("ink", "rust", "gold")),
    "marbling": (marbling, ("gold", "jade", "sign")),
    "cubism": (cubism, ("rust", "gold", "ember")),
    "pastel": (pastel, ("lilac", "rose", "wheat")),
    "weave": (weave, ("ember", "gold", "rust")),
}
"""Each technique with the palettes that suit it, the best one first."""

_SETTINGS: tuple[str, ...] = ("scale", "strength", "turn", "relief", "variety")


@dataclass(frozen=True)
class Look:
    """One way of painting, the same for every scene that it paints.

    `settings` are numbers in [0, 1]: scale of the marks, strength of the technique, turn (a
    direction), relief of the paint, variety of colour from mark to mark.
    """

    technique: Technique
    palette: Palette
    keep: float = 0.0
    settings: dict[str, float] = field(default_factory=dict)

    def paint(self, scene: Picture, rng: Rng) -> Picture:
        """The scene [H, W, 3] in this look; `rng` places the marks."""
        coloured = self.palette.recolour(scene, self.keep)
        return self.technique(coloured, rng, self.settings).clip(0.0, 1.0)


def named_look(name: str, rng: Rng) -> Look:
    """A look of the technique with one of its own palettes, at settings that show well."""
    technique, palettes = LOOKS[name]
    settings = {key: float(rng.uniform(0.35, 0.75)) for key in _SETTINGS}
    palette = PALETTES[palettes[int(rng.integers(len(palettes)))]]
    return Look(technique, palette, 0.0, settings)


def random_look(rng: Rng) -> Look:
    """Any technique with any palette and settings."""
    technique, _ = list(LOOKS.values())[int(rng.integers(len(LOOKS)))]
    keep = float(rng.uniform(0.0, 0.5)) if rng.random() < 0.3 else 0.0
    return Look(
        technique, random_palette(rng), keep, {key: float(rng.random()) for key in _SETTINGS}
    )
