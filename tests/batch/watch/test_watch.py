from __future__ import annotations

from collections import Counter

from styleid_ray.batch.watch.board import Board, Report
from styleid_ray.batch.watch.watch import add_measures, machines, of_actors


def test_measures_of_shards_are_summed_except_for_peaks() -> None:
    total: Counter[str] = Counter()
    for peak, seconds in ((5, 1.5), (9, 0.5), (7, 1.0)):
        add_measures(total, {"peak_feature_bytes": peak, "stylize_seconds": seconds})
    assert total == {"peak_feature_bytes": 9, "stylize_seconds": 3.0}


def test_gpu_hours_and_rate_follow_from_the_actors_time_and_their_share_of_a_gpu() -> None:
    measures = {"actor_seconds": 7200.0, "stylize_seconds": 5400.0, "waiting_seconds": 600.0}
    measures["unet_evaluations"] = 12_000.0
    assert of_actors(measures, 0.5) == {"gpu_hours": 1.0, "busy_share": 0.9, "actor_rate": 2.0}
    assert of_actors(measures, 0)["gpu_hours"] == 0.0
    assert of_actors({"done": 3}, 1) == {}


def test_the_driver_sees_how_many_actors_are_busy_and_the_fullest_gpu() -> None:
    board = Board()
    assert machines(board.look([], release=False)) == "0 of 0 actors busy"
    board.starting("a", "actor 1", "A")
    board.report("actor 1", Report(evaluations=5))
    board.report("actor 2", Report(evaluations=307, busy=True, gpu_memory=(2**30, 8 * 2**30)))
    board.report("actor 3", Report(busy=True, gpu_memory=(6 * 2**30, 8 * 2**30)))
    view = board.look([], release=False)
    assert (view.actors, view.healthy, view.evaluations) == (3, 3, 312)
    assert machines(view) == "2 of 3 actors busy · 6.0 of 8.0 GiB GPU memory"
