"""The measures of a pair that the page can show: what each says, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from styleid_ray.quality.columns import MEASURES


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
    """The greatest value, or one that few pairs exceed."""


def _quality(name: str, better: int, low: float, high: float) -> Measure:
    """One of the column's: its label is the name that rules know."""
    return Measure(name, name, MEASURES[name], better, low, high)


QUALITY = (
    _quality("color", 1, -1, 1),
    _quality("structure", 1, 0, 1),
    _quality("edges", 1, 0, 1),
    _quality("saturation", 0, 0, 1),
    _quality("blank", -1, 0, 1),
    _quality("sharpness", 0, 0, 10),
    _quality("copy", -1, 0, 1),
)
"""The fields of the column `quality` of a run's data."""

METRICS = (
    Measure("lpips", "LPIPS", "perceptual distance to the content", -1, 0, 2),
    Measure("lpips_gray", "LPIPS, grey", "the same without colour", -1, 0, 2),
    Measure("cfsd", "CFSD", "distance of the content's self-similarity", -1, 0, 2),
    Measure("histogram_loss", "histogram loss", "distance of colours to the style's", -1, 0, 1),
)
"""The columns of an evaluation's `pairs.parquet`."""
