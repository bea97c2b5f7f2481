"""When a command stops before its work is done."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.limits import Limits, resume_hint
from styleid_ray.batch.watch.board import View
from styleid_ray.errors import ConfigError


def limits(gpus: float = 1, **options: Any) -> Limits:
    made = Limits(JobConfig(content="c", style="s", output="o", **options))
    made.begin(gpus)
    return made


def test_a_deadline_interrupts_work_and_is_named_as_it_was_given() -> None:
    some = limits(deadline="0.05s")
    over, after = threading.Event(), threading.Event()
    with some.stopping():
        looks = threading.Timer(0.1, some.see, [View(actors=1)])
        looks.start()
        over.wait(60)
        after.set()
    assert not after.is_set()
    assert some.reached == "--deadline 0.05s"
    assert some.check()


def test_an_interrupt_of_the_user_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), limits(deadline="6h").stopping():
        raise KeyboardInterrupt


def test_gpu_hours_are_those_of_all_actors_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("styleid_ray.batch.limits.time.monotonic", lambda: now)
    some = limits(gpus=0.5, max_gpu_hours=2)
    some.see(View(actors=8))
    for _ in range(3):
        now += 300
        some.see(View(actors=8))
    assert some.gpu_hours == pytest.approx(1)
    assert not some.check()
    now += 900
    with pytest.raises(KeyboardInterrupt):
        some.see(View(actors=8))
    assert some.reached == "--max-gpu-hours 2"


def test_a_run_in_another_thread_stops_with_its_next_shard() -> None:
    results = []

    def run() -> None:
        some = limits(deadline="0.01s")
        threading.Event().wait(0.02)
        some.see(View(actors=1))
        results.append((some.reached, some.check()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [(None, True)]


def test_a_limit_that_leaves_no_time_or_does_not_suit_the_actors_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--deadline 2020-01-01T00:00 has passed"):
        limits(deadline="2020-01-01T00:00")
    with pytest.raises(ConfigError, match="the actors run on CPU: leave it out"):
        limits(gpus=0, max_gpu_hours=1)


@pytest.mark.parametrize(
    ("reached", "hint"),
    [
        ("--limit 40", "without --limit to make the rest"),
        ("--deadline 6h", "run the same command again to resume"),
        ("--deadline 2026-12-01T06:00", "with a later --deadline"),
        ("--max-gpu-hours 2", "run the same command again to resume"),
    ],
)
def test_each_limit_says_how_to_make_the_rest(reached: str, hint: str) -> None:
    assert hint in resume_hint(reached)
