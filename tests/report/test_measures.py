"""The spread of a measure over a run."""

from __future__ import annotations

import numpy as np
import pytest

from styleid_ray.report.measures import QUALITY, DrawnSpread

STRUCTURE = next(measure for measure in QUALITY if measure.name == "structure")
SHARPNESS = next(measure for measure in QUALITY if measure.name == "sharpness")


def spread(*values: float, measure=STRUCTURE) -> DrawnSpread:
    made = DrawnSpread(measure)
    made.add(np.array(values))
    return made


@pytest.mark.parametrize("marks", [(), (0.4,), (0.0, 1.0), (-3.0, 7.0)])
def test_bars_cover_every_pair_and_mark_in_any_range(marks: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    for low, high in ((0, 1), (0.5, 0.51), (0.97, 1), (0.3, 0.3), (0, 0.97), (0.003, 1)):
        made = spread(*rng.uniform(low, high, 500))
        bars = made.bars(marks)
        assert sum(bars.counts) == 500
        assert 12 <= len(bars.counts) <= 32
        assert bars.low <= low + 1e-6
        assert bars.high >= made.greatest - 1e-6
        assert all(0 <= bars.place(np.clip(mark, 0, 1)) <= len(bars.counts) for mark in marks)


def test_merged_files_equal_one_file() -> None:
    values = np.random.default_rng(1).uniform(0, 1, 300)
    whole, merged = spread(*values), spread(*values[:100])
    merged.merge(spread(*values[100:]))
    assert (whole.counts == merged.counts).all()
    assert (whole.least, whole.greatest) == (merged.least, merged.greatest)
    assert whole.quantile(50) == pytest.approx(np.median(values), abs=2e-3)


def test_missing_values_are_omitted_and_large_ones_are_in_the_last_bar() -> None:
    made = spread(np.nan, np.inf, 1.0, 25.0, measure=SHARPNESS)
    assert made.count == 2
    assert made.bars().counts[-1] == 1
    assert made.greatest == 25


def test_equal_values_have_themselves_as_median() -> None:
    assert spread(*[0.123456] * 7).quantile(50) == 0.123456
