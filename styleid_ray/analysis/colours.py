"""A picture's colours: histograms in RGB and CIE L*a*b*, and the distance between two pictures'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from styleid_ray.imaging.lab import lab

BINS = 64
CHANNELS: Mapping[str, tuple[float, float]] = {
    "R": (0, 255),
    "G": (0, 255),
    "B": (0, 255),
    "L*": (0, 100),
    "a*": (-100, 100),
    "b*": (-100, 100),
}
"""Channels with the least and the greatest value of their histograms."""
LAB = ("L*", "a*", "b*")


@dataclass(frozen=True)
class Colours:
    """The colours of a picture."""

    channels: Mapping[str, np.ndarray]
    """Values of each of `CHANNELS`, float64 [pixels], sorted."""

    @classmethod
    def of(cls, picture: Image.Image) -> Colours:
        """The colours of an RGB picture."""
        rgb = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        values = np.concatenate([rgb, lab(rgb)], axis=1).T
        return cls(dict(zip(CHANNELS, np.sort(values, axis=1), strict=True)))

    def histogram(self, channel: str) -> np.ndarray:
        """Share of the pixels in each of `BINS` bins of equal width, float64; values outside the
        channel's range count in the outermost bins."""
        low, high = CHANNELS[channel]
        values = np.clip(self.channels[channel], low, high)
        return np.histogram(values, BINS, (low, high))[0] / values.size

    def distance(self, other: Colours) -> float:
        """Mean over L*, a* and b* of the Wasserstein distance between both pictures' values: the
        mean distance, in units of L*a*b*, that a pixel's colour has to move."""
        return float(np.mean([wasserstein(self.channels[x], other.channels[x]) for x in LAB]))


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein distance of two sorted samples: the area between their distribution functions.

    `scipy.stats.wasserstein_distance` computes the same; the package does not depend on scipy.
    """
    values = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(x, values[:-1], side="right") / x.size for x in (a, b)]
    return float((np.abs(below[0] - below[1]) * np.diff(values)).sum())
