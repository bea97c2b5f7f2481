"""The measures of a run, joined to the pairs that the page shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from styleid_ray.quality.columns import quality_type
from styleid_ray.report.evaluation import Evaluation, Scores
from styleid_ray.report.limits import Gate
from styleid_ray.report.quality import Quality
from styleid_ray.report.spread import Bars, DrawnSpread

_DIGITS = 6
_WORDS = {True: "rejected", False: "limit"}


@dataclass(frozen=True)
class Histogram:
    """How one measure is spread over the run, as the page draws it."""

    label: str
    meaning: str
    better: str
    count: int
    bars: Bars
    low: str
    """Value at the left end."""
    high: str
    """Value at the right end; with a plus where the last bar holds greater ones, too."""
    least: str
    median: str
    greatest: str
    limits: list[tuple[float, str, bool]]
    """Bars from the left, words, whether the run's rule says so."""


@dataclass(frozen=True)
class Measures:
    """Metrics, histograms and limits of the page."""

    evaluation: Evaluation
    histograms: list[Histogram]
    quality: Quality
    gate: Gate
    note: str
    """Why pairs have no metrics, where that is not as it should be."""


def join(gallery: dict[str, Any], quality: Quality, scores: Scores, gate: Gate) -> dict[str, Any]:
    """The gallery's data with measures.

    Returns:
        The data of `read_gallery` with "measures" (name, label, meaning, better), "limits"
        (m: number of a measure; above, value, room, words, rule) and "worst" (ids). A pair has "q",
        its values in the order of the measures, null where there is none, and "rejected".
    """
    spreads = [spread for spread in [*quality.spreads, *scores.spreads] if spread.count]
    measures = [spread.measure for spread in spreads]
    numbers = {measure.name: number for number, measure in enumerate(measures)}
    qualities = [pair["quality"] for pair in gallery["pairs"]]
    rejected = gate.rejected(pa.array(qualities, quality_type()))
    pairs = []
    for pair, own, out in zip(gallery["pairs"], qualities, rejected.tolist(), strict=True):
        values = (own or {}) | scores.of_pair.get(pair["id"], {})
        kept = {name: value for name, value in pair.items() if name != "quality"}
        pairs.append(kept | {"q": [_value(values.get(name)) for name in numbers], "rejected": out})
    return gallery | {
        "pairs": pairs,
        "measures": [
            {"name": m.name, "label": m.label, "meaning": m.meaning, "better": m.better}
            for m in measures
        ],
        "limits": [
            {
                "m": numbers[limit.measure],
                "above": limit.above,
                "value": limit.value,
                "room": limit.room,
                "words": limit.words,
                "rule": limit.rule,
            }
            for limit in gate.limits
            if limit.measure in numbers
        ],
        "worst": [place.pair_id for place in quality.worst],
    }


def histograms(quality: Quality, scores: Scores, gate: Gate) -> list[Histogram]:
    """Those of all measures that a run has."""
    return [
        _histogram(spread, gate) for spread in [*quality.spreads, *scores.spreads] if spread.count
    ]


def _histogram(spread: DrawnSpread, gate: Gate) -> Histogram:
    measure = spread.measure
    limits = [limit for limit in gate.limits if limit.measure == measure.name]
    ruled = [limit for limit in limits if limit.rule]
    bars = spread.bars(tuple(limit.value for limit in ruled))
    marks = [
        (at, f"{_WORDS[limit.rule]}: {_side(limit.above)} {limit.value:g}", limit.rule)
        for limit in limits
        if 0 <= (at := bars.place(limit.value)) <= len(bars.counts)
    ]
    return Histogram(
        label=measure.label,
        meaning=measure.meaning,
        better={1: "higher is better", -1: "lower is better", 0: ""}[measure.better],
        count=spread.count,
        bars=bars,
        low=f"{bars.low:.3g}",
        high=f"{bars.high:.3g}{'+' if spread.greatest > measure.high else ''}",
        least=f"{spread.least:.3g}",
        median=f"{spread.quantile(50):.3g}",
        greatest=f"{spread.greatest:.3g}",
        limits=marks,
    )


def _side(above: bool) -> str:
    return "above" if above else "below"


def _value(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
