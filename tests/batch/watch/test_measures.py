from __future__ import annotations

from collections import Counter

from styleid_ray.batch.watch.measures import add_measures, of_actors


def test_a_runs_measures_are_sums_and_of_peaks_the_largest() -> None:
    total: Counter[str] = Counter()
    for peak, seconds in ((5, 1.5), (9, 0.5), (7, 1.0)):
        add_measures(total, {"peak_feature_bytes": peak, "stylize_seconds": seconds})
    assert total == {"peak_feature_bytes": 9, "stylize_seconds": 3.0}


def test_gpu_hours_and_the_rate_are_those_of_the_actors_and_their_part_of_a_gpu() -> None:
    measures = {"actor_seconds": 7200.0, "stylize_seconds": 5400.0, "waiting_seconds": 600.0}
    measures["unet_evaluations"] = 12_000.0
    assert of_actors(measures, 0.5) == {"gpu_hours": 1.0, "busy_share": 0.9, "actor_rate": 2.0}
    assert of_actors(measures, 0)["gpu_hours"] == 0.0
    assert of_actors({"done": 3}, 1) == {}
