"""The measures of a run as the page shows them: joined to its pairs, and as histograms."""

import math
from typing import Any

import pyarrow as pa

from styleid_ray.quality.columns import quality_type
from styleid_ray.report.evaluation import Scores
from styleid_ray.report.limits import Gate
from styleid_ray.report.measures import DrawnSpread
from styleid_ray.report.quality import Quality

_DIGITS = 6


def join(gallery: dict[str, Any], quality: Quality, scores: Scores, gate: Gate) -> dict[str, Any]:
    """The gallery's data with measures.

    Returns:
        The data of `read_gallery` with "measures" (name, label, meaning, better), "limits"
        (m: number of a measure; above, value, room, words, rule) and "worst" (ids). A pair has "q",
        its values in the order of the measures or null, and "rejected".
    """
    measures = [spread.measure for spread in [*quality.spreads, *scores.spreads] if spread.count]
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


def histogram(spread: DrawnSpread, gate: Gate) -> dict[str, Any]:
    """The histogram of a measure that has values, for the page's template.

    Returns:
        label, meaning and better (texts), count, bars (`Bars`), least, median and greatest (texts),
        limits: bars from the left, words, and whether the limit comes from the run's rule.
    """
    measure = spread.measure
    limits = [limit for limit in gate.limits if limit.measure == measure.name]
    ruled = [limit for limit in limits if limit.rule]
    bars = spread.bars(tuple(limit.value for limit in ruled))
    marks = []
    for limit in limits:
        word, side = "rejected" if limit.rule else "limit", "above" if limit.above else "below"
        if 0 <= (at := bars.place(limit.value)) <= len(bars.counts):
            marks.append((at, f"{word}: {side} {limit.value:g}", limit.rule))
    return {
        "label": measure.label,
        "meaning": measure.meaning,
        "better": {1: "higher is better", -1: "lower is better", 0: ""}[measure.better],
        "count": spread.count,
        "bars": bars,
        "least": f"{spread.least:.3g}",
        "median": f"{spread.quantile(50):.3g}",
        "greatest": f"{spread.greatest:.3g}",
        "limits": marks,
    }


def _value(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
