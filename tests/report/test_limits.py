"""The worst pairs of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from styleid_ray.quality.columns import MEASURES, quality_type
from styleid_ray.report.limits import LIMITS, Gate
from styleid_ray.report.measures import QUALITY

GOOD = {
    "color": 0.8,
    "structure": 0.8,
    "edges": 0.6,
    "saturation": 0.3,
    "blank": 0.1,
    "sharpness": 1.0,
    "copy": 0.4,
}


def badness(config: dict[str, Any], *rows: dict[str, float | None]) -> list[float]:
    gate = Gate.of(config)
    column = pa.array([GOOD | row for row in rows], quality_type())
    measures = {
        measure.name: np.array([(GOOD | row)[measure.name] for row in rows], np.float64)
        for measure in QUALITY
    }
    return gate.badness(measures, gate.rejected(column)).tolist()


def test_every_quality_column_has_a_name_on_the_page() -> None:
    assert [measure.name for measure in QUALITY] == list(MEASURES)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.words)
def test_a_pair_is_bad_only_beyond_a_limit(limit: Any) -> None:
    by = limit.room / 4 if limit.above else -limit.room / 4
    beyond, within = {limit.measure: limit.value + by}, {limit.measure: limit.value - by}
    bad, good = badness({}, beyond, within)
    assert bad == pytest.approx(0.25)
    assert good < 0


def test_measures_are_compared_by_their_share_of_the_range_beyond_the_limit() -> None:
    rows = ({"edges": 0.075}, {"blank": 0.98}, {"edges": 0.075, "blank": 0.98}, {"copy": 2.0})
    assert badness({}, *rows) == pytest.approx([0.25, 0.8, 0.8, 1.0])


def test_a_missing_value_is_not_bad() -> None:
    assert badness({}, dict.fromkeys(GOOD)) == [-np.inf]


def test_rejected_pairs_are_worse_than_all_others() -> None:
    rows = ({"edges": 0.5}, {"copy": 1.0}, {"edges": 0.3}, {"edges": 0.55})
    bad = badness({"reject": "edges<0.55"}, *rows)
    assert bad[2] > bad[0] > 1
    assert bad[1] == 1
    assert bad[3] < 0


def test_a_rule_replaces_the_limits_of_the_measures_that_it_names() -> None:
    rule = {"reject": "structure<0.2 or sharpness>3"}
    rows = ({"structure": 0.3}, {"structure": 0.1}, {"sharpness": 0.1}, {"sharpness": 4.0})
    assert [bad > 0 for bad in badness(rule, *rows)] == [False, True, False, True]


def test_a_condition_joined_by_and_is_no_reason_on_its_own() -> None:
    rows = ({"structure": 0.1}, {"color": 0.1}, {"structure": 0.1, "color": 0.1})
    bad = badness({"reject": "structure<0.4 and color<0.4"}, *rows)
    assert [value > 0 for value in bad] == [False, False, True]


def test_a_bound_without_a_limit_is_named_by_its_measure() -> None:
    words = [limit.words for limit in Gate.of({"reject": "saturation<0.05 or blank>=0.5"}).limits]
    assert words[:2] == ["saturation below 0.05", "nearly blank"]
