"""The spread of a measure over a run, as bars to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from styleid_ray.quality.spread import LEAST, MOST, Spread
from styleid_ray.report.measures import Measure

_BINS = 960
"""Bins of a measure's range."""
_FEWEST_BARS, _MOST_BARS = 12, 32


class DrawnSpread(Spread):
    """The values of one measure, and how many there are in each part of its range."""

    def __init__(self, measure: Measure) -> None:
        super().__init__(min(LEAST, measure.low), max(MOST, measure.high))
        self.measure = measure
        self.counts = np.zeros(_BINS, np.int64)
        """Pairs per bin [960]; a value outside the range is in the bin at its end."""

    def add(self, values: np.ndarray) -> None:
        super().add(values)
        values = values[np.isfinite(values)].astype(np.float64)
        share = (values - self.measure.low) / (self.measure.high - self.measure.low)
        bins = np.clip((share * _BINS).astype(np.int64), 0, _BINS - 1)
        self.counts += np.bincount(bins, minlength=_BINS)

    def merge(self, other: DrawnSpread) -> None:
        super().merge(other)
        self.counts += other.counts

    def edge(self, at: float) -> float:
        """The value at a place on the axis of bins."""
        low, high = self.measure.low, self.measure.high
        return low + (high - low) * at / _BINS

    def bars(self, marks: tuple[float, ...] = ()) -> Bars:
        """12 to 32 bars over all values, and over the marks."""
        low, high = self.measure.low, self.measure.high
        places = [int((mark - low) / (high - low) * _BINS) for mark in marks]
        ends = [*np.flatnonzero(self.counts)[[0, -1]], *np.clip(places, 0, _BINS - 1)]
        first, last = int(min(ends)), int(max(ends))
        step = -(-(last + 1 - first) // _MOST_BARS)
        number = max(_FEWEST_BARS, -(-(last + 1 - first) // step))
        first = max(0, min(first, _BINS - number * step))
        counts = self.counts[first : first + number * step].reshape(number, step).sum(1)
        return Bars(counts.tolist(), self.edge(first), self.edge(first + number * step))


@dataclass(frozen=True)
class Bars:
    """A histogram to be drawn."""

    counts: list[int]
    low: float
    """Value at the left of the first bar."""
    high: float
    """Value at the right of the last bar."""

    def place(self, value: float) -> float:
        """Where a value lies, in bars from the left."""
        return (value - self.low) / (self.high - self.low) * len(self.counts)
