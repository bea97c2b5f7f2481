"""Statistics of a picture's colour and texture, with which pictures can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 64
"""Longer side in pixels of the thumbnail that is looked at."""
_SCALES = (1, 2)
_ORIENTATIONS = 8
_COLOUR = 9
_TEXTURE = len(_SCALES) * (1 + _ORIENTATIONS)
SIZE = _COLOUR + _TEXTURE
"""Numbers per picture."""
VERSION = 1
"""Raised when the numbers come to mean something else."""

# sRGB to CIE XYZ, by the white of D65.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


def statistics(picture: Image.Image) -> np.ndarray:
    """Colour and texture of an RGB picture, float32 [SIZE].

    Colour: mean and covariance of CIE L*a*b* (9 numbers, the covariances as signed roots). Texture
    at the thumbnail's scale and at half of it: the logarithm of the mean gradient of L*, and the
    shares of 8 orientations in it (9 numbers each).
    """
    lab = _lab(np.asarray(picture))
    return np.concatenate([_colour(lab), *(_texture(lab[..., 0], n) for n in _SCALES)]).astype(
        np.float32
    )


@dataclass(frozen=True)
class Standard:
    """The scale on which the Euclidean distance of statistics compares pictures."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, styles: np.ndarray) -> Standard:
        """The scale by the statistics of the styles [S, SIZE]: each number is divided by its
        standard deviation over them, and left out where they do not differ; colour and texture
        weigh alike."""
        deviation = styles.std(axis=0, dtype=float)
        scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)
        scale[:_COLOUR] /= np.sqrt(_COLOUR)
        scale[_COLOUR:] /= np.sqrt(_TEXTURE)
        return cls(styles.mean(axis=0, dtype=float), scale)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Statistics [P, SIZE] on this scale, float64 [P, SIZE]."""
        return (vectors - self.mean) * self.scale


def _lab(pixels: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of sRGB pixels, uint8 [H, W, 3]."""
    xyz = _LINEAR[pixels] @ _XYZ.T
    cube = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(cube, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _colour(lab: np.ndarray) -> np.ndarray:
    colours = lab.reshape(-1, 3)
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
