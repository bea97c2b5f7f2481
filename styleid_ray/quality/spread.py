"""The spread of a measure over a run, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTILES = (5, 50, 95)
"""Percentages of the quantiles in a summary."""
_BINS = 19_200


class Spread:
    """The values of one measure: count, mean, extremes, quantiles, and a histogram.

    Args:
        low, high: bounds of quantiles and histogram, which are resolved to 1/19,200 of their
            distance.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.count, self.total = 0, 0.0
        self.least, self.greatest = np.inf, -np.inf
        self.counts = np.zeros(_BINS, np.int64)
        """Values per part of the range; one outside counts in the part at its end."""

    def add(self, values: np.ndarray) -> None:
        """Adds values [N], without those that are not finite."""
        values = values[np.isfinite(values)].astype(np.float64)
        if not len(values):
            return
        self.count += len(values)
        self.total += float(values.sum())
        self.least = min(self.least, float(values.min()))
        self.greatest = max(self.greatest, float(values.max()))
        share = (values - self.low) / (self.high - self.low)
        bins = (share * _BINS).clip(0, _BINS - 1).astype(np.int64)
        self.counts += np.bincount(bins, minlength=_BINS)

    def merge(self, other: Spread) -> None:
        """Adds the values of another spread of the same measure."""
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        self.counts += other.counts

    def quantile(self, percent: float) -> float:
        """The value that `percent` of the values do not exceed; there must be at least one."""
        at = int(np.searchsorted(np.cumsum(self.counts), percent / 100 * self.count))
        value = self.low + (self.high - self.low) * at / _BINS
        return float(np.clip(value, self.least, self.greatest))

    def as_dict(self) -> dict[str, Any]:
        """`count`, `mean`, and quantiles `p5`, `p50` and `p95`; null where there is no value."""
        if not self.count:
            return {"count": 0, "mean": None} | {f"p{q}": None for q in QUANTILES}
        quantiles = {f"p{q}": round(self.quantile(q), 3) for q in QUANTILES}
        return {"count": self.count, "mean": round(self.total / self.count, 4)} | quantiles
