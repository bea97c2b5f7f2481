from __future__ import annotations

from collections import Counter

from styleid_ray.batch.measures import add_measures


def test_a_runs_measures_are_sums_and_of_peaks_the_largest() -> None:
    total: Counter[str] = Counter()
    for peak, seconds in ((5, 1.5), (9, 0.5), (7, 1.0)):
        add_measures(total, {"peak_feature_bytes": peak, "stylize_seconds": seconds})
    assert total == {"peak_feature_bytes": 9, "stylize_seconds": 3.0}
