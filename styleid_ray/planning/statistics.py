"""Statistics of a picture's colour and texture, for comparing pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from styleid_ray.imaging.lab import lab

SIDE = 64
"""Longer side in pixels of the thumbnail that is measured."""
_SCALES = (1, 2)
_ORIENTATIONS = 8
_COLOUR = 9
_TEXTURE = len(_SCALES) * (1 + _ORIENTATIONS)
SIZE = _COLOUR + _TEXTURE
"""Numbers per picture."""
VERSION = 1
"""Raised when the meaning of the numbers changes."""


def statistics(picture: Image.Image) -> np.ndarray:
    """Colour and texture of an RGB picture, float32 [SIZE].

    Colour: mean and covariance of CIE L*a*b* (9 numbers, the covariances as signed roots). Texture
    at the thumbnail's scale and at half of it: the logarithm of the mean gradient of L*, and the
    shares of 8 orientations in it (9 numbers each).
    """
    colours = lab(np.asarray(picture))
    textures = (_texture(colours[..., 0], scale) for scale in _SCALES)
    return np.concatenate([_colour(colours), *textures]).astype(np.float32)


@dataclass(frozen=True)
class Standard:
    """The scale on which the Euclidean distance of statistics compares pictures."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, styles: np.ndarray) -> Standard:
        """The scale for the statistics of styles [S, SIZE]: each number is divided by its standard
        deviation over the styles, or left out if they do not differ; colour and texture weigh
        alike."""
        deviation = styles.std(axis=0, dtype=float)
        scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)
        scale[:_COLOUR] /= np.sqrt(_COLOUR)
        scale[_COLOUR:] /= np.sqrt(_TEXTURE)
        return cls(styles.mean(axis=0, dtype=float), scale)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Statistics [P, SIZE] on this scale, float64 [P, SIZE]."""
        return (vectors - self.mean) * self.scale


def _colour(pixels: np.ndarray) -> np.ndarray:
    colours = pixels.reshape(-1, 3)
    mean = colours.mean(axis=0)
    centred = colours - mean
    covariance = (centred.T @ centred / len(colours))[np.triu_indices(3)]
    return np.concatenate([mean, np.sign(covariance) * np.sqrt(np.abs(covariance))])


def _texture(lightness: np.ndarray, scale: int) -> np.ndarray:
    height, width = (side // scale for side in lightness.shape)
    if min(height, width) < 2:
        return np.zeros(1 + _ORIENTATIONS)
    cells = lightness[: height * scale, : width * scale]
    coarse = cells.reshape(height, scale, width, scale).mean(axis=(1, 3))
    down, across = np.gradient(coarse)
    strength = np.hypot(down, across)
    turn = np.arctan2(down, across) / np.pi * _ORIENTATIONS  # lines, not arrows: half a turn
    place = np.round(turn).astype(int) % _ORIENTATIONS
    shares = np.bincount(place.ravel(), strength.ravel(), _ORIENTATIONS)
    return np.concatenate([[np.log1p(strength.mean())], shares / max(strength.sum(), 1e-9)])
