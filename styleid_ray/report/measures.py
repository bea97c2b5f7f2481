"""The measures of a pair that the page can show, and their spread over a run as histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from styleid_ray.quality.columns import MEASURES, RANGES
from styleid_ray.quality.spread import Spread

_PARTS = 960
"""Parts of a measure's range, of which a bar has one or more."""
_FEWEST_BARS, _MOST_BARS = 12, 32


@dataclass(frozen=True)
class Measure:
    """One number of a pair."""

    name: str
    """Name of its field or column."""
    label: str
    meaning: str
    better: int
    """1 when higher is better, -1 when lower is, 0 when neither is."""
    low: float
    """The least value."""
    high: float
    """The greatest value, or a value that few pairs exceed."""


def _quality(name: str, better: int) -> Measure:
    return Measure(name, name, MEASURES[name], better, *RANGES[name])


QUALITY = (
    _quality("color", 1),
    _quality("structure", 1),
    _quality("edges", 1),
    _quality("saturation", 0),
    _quality("blank", -1),
    _quality("sharpness", 0),
    _quality("copy", -1),
)
"""The fields of the column `quality` of a run's data; a label is the name that rules use."""

METRICS = (
    Measure("lpips", "LPIPS", "perceptual distance to the content", -1, 0, 2),
    Measure("lpips_gray", "LPIPS, grey", "the same without colour", -1, 0, 2),
    Measure("cfsd", "CFSD", "distance of the content's self-similarity", -1, 0, 2),
    Measure("histogram_loss", "histogram loss", "distance of colours to the style's", -1, 0, 1),
)
"""The columns of an evaluation's `pairs.parquet`."""


class DrawnSpread(Spread):
    """The values of one measure, as bars."""

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure.low, measure.high)
        self.measure = measure

    def bars(self, marks: tuple[float, ...] = ()) -> Bars:
        """12 to 32 bars over all values and marks."""
        parts, span = self.counts.reshape(_PARTS, -1).sum(1), self.high - self.low
        places = [int((mark - self.low) / span * _PARTS) for mark in marks]
        ends = [*np.flatnonzero(parts)[[0, -1]], *np.clip(places, 0, _PARTS - 1)]
        first, last = int(min(ends)), int(max(ends))
        step = -(-(last + 1 - first) // _MOST_BARS)
        number = max(_FEWEST_BARS, -(-(last + 1 - first) // step))
        first = max(0, min(first, _PARTS - number * step))
        counts = parts[first : first + number * step].reshape(number, step).sum(1)
        edges = (self.low + span * at / _PARTS for at in (first, first + number * step))
        return Bars(counts.tolist(), *edges)


@dataclass(frozen=True)
class Bars:
    """A histogram to draw."""

    counts: list[int]
    low: float
    """Value at the left of the first bar."""
    high: float
    """Value at the right of the last bar."""

    def place(self, value: float) -> float:
        """Position of a value, in bars from the left."""
        return (value - self.low) / (self.high - self.low) * len(self.counts)
