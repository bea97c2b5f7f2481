from __future__ import annotations

import threading
from contextlib import closing
from types import SimpleNamespace

import pytest

from styleid_ray.batch.watch.board import Board, Report, View
from styleid_ray.batch.watch.lookout import Lookout
from styleid_ray.batch.watch.reporter import Reporter


def test_a_node_is_excluded_when_its_device_fails_again() -> None:
    board = Board()
    board.device_failed("a", "CUDA error")
    assert board.look([], release=False).sick == {}
    board.device_failed("b", "it hangs")
    board.device_failed("a", "CUDA error, again")
    view = board.look([], release=False)
    assert view.sick == {"a": "CUDA error, again"}
    assert view.failures == 3
    assert board.starting("a", "actor 1", "A") == "CUDA error, again"
    assert board.starting("b", "actor 2", "B") is None


def test_a_failure_is_forgiven_after_ten_shards() -> None:
    board = Board()
    board.device_failed("a", "CUDA error")
    for shard in range(10):
        board.begun("Stylize", f"shard-{shard}")
        board.ended("Stylize", f"shard-{shard}", "a")
    board.device_failed("a", "CUDA error")
    assert board.look([], release=False).sick == {}


def test_a_node_is_excluded_when_an_actor_ends_its_process_three_times_while_it_starts() -> None:
    board = Board()
    for _ in range(3):
        assert board.starting("a", "actor", "A") is None
    reason = board.starting("a", "actor", "A") or ""
    assert "3 times" in reason
    assert "node A" in reason


def test_a_successful_start_resets_the_count_of_failed_starts() -> None:
    board = Board()
    for _ in range(25):
        assert board.starting("a", "actor", "A") is None
        board.started("a", "actor")


def test_attempts_count_until_the_shard_is_done() -> None:
    board = Board()
    assert [board.begun("Load", "shard-1") for _ in range(3)] == [1, 2, 3]
    assert board.begun("Commit", "shard-1") == 1
    board.ended("Load", "shard-1", "a")
    assert board.begun("Load", "shard-1") == 1


def test_pairs_count_as_made_until_their_shard_is_committed() -> None:
    board = Board()
    board.report("actor 1", Report(made={"shard-1": 3}))
    board.report("actor 2", Report(made={"shard-2": 1}))
    board.report("actor 1", Report(made={"shard-1": 8, "shard-3": 2}))
    assert board.look([], release=False).made == {"shard-1": 8, "shard-2": 1, "shard-3": 2}
    assert board.look(["shard-1"], release=False).made == {"shard-2": 1, "shard-3": 2}


def test_a_beat_after_the_commit_of_a_shard_does_not_show_its_pairs_again() -> None:
    board, reporter = Board(), Reporter()
    reporter._tell = lambda method, *args: getattr(board, method)(*args)  # no board without Ray
    reporter.making("shard-1", 8)
    reporter.ended("stylize", "shard-1")
    assert board.look([], release=False).made == {"shard-1": 8}
    assert board.look(["shard-1"], release=False).made == {}
    reporter.beat()
    assert board.look([], release=False).made == {}


def test_an_error_of_a_display_reaches_the_driver_and_held_shards_are_still_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[bool] = []
    looked = threading.Event()

    def look(view: View, timeout: float) -> View:
        looks.append(lookout._release)
        if len(looks) == 3:
            looked.set()
        return view

    def fail(view: View) -> None:
        raise ZeroDivisionError("of a display")

    monkeypatch.setattr("styleid_ray.batch.watch.lookout._LOOK_SECONDS", 0.01)
    monkeypatch.setattr("styleid_ray.batch.watch.lookout.ray.get", look)
    board = SimpleNamespace(look=SimpleNamespace(remote=lambda *args: View(held=4)))
    with closing(Lookout(board, 4, fail)) as lookout:
        assert looked.wait(60)
        with pytest.raises(ZeroDivisionError, match="of a display"):
            lookout.check()
    assert looks[:3] == [False, True, True]


def test_a_sick_actor_is_told_when_to_hand_back_its_shards() -> None:
    board = Board()
    assert not board.report("actor 1", Report(sick=True, held=4))
    view = board.look([], release=True)
    assert (view.held, view.healthy) == (4, 0)
    assert board.report("actor 1", Report(sick=True, held=4))


def test_an_actor_holds_its_gpu_while_it_loads_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("styleid_ray.batch.watch.board.time.monotonic", lambda: now)
    board = Board()
    board.starting("a", "actor 1", "A")
    board.starting("a", "actor 2", "A")
    assert board.look([], release=False).holding == 2
    now = 300.0
    board.started("a", "actor 1")
    view = board.look([], release=False)
    assert (view.actors, view.holding) == (1, 2)
    now = 4000.0  # no report of either since
    assert board.look([], release=False).holding == 0


def test_an_actor_is_busy_from_its_first_step_on_a_shard_to_its_end() -> None:
    reporter, reports = Reporter(), list[Report]()
    reporter._tell = lambda method, *args: reports.extend(  # no board without Ray
        arg for arg in args if isinstance(arg, Report)
    )
    reporter.beat()
    reporter.making("shard-1", 0)
    reporter.beat()
    reporter.ended("stylize", "shard-1")
    reporter.beat()
    assert [report.busy for report in reports] == [False, True, False]
    assert reports[1].made == {"shard-1": 0}
    assert reports[0].gpu_memory is None
