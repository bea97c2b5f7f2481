"""When a command stops before its work is done."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.limits import Limits, resume_hint
from styleid_ray.batch.watch.board import View
from styleid_ray.errors import ConfigError, JobError


def limits(gpus: float = 1, **options: Any) -> Limits:
    made = Limits(JobConfig(content="c", style="s", output="o", **options))
    made.begin(gpus)
    return made


def test_a_deadline_interrupts_work_and_is_named_as_it_was_given() -> None:
    some = limits(deadline="0.05s")
    over, after = threading.Event(), threading.Event()
    with some.stopping():
        looks = threading.Timer(0.1, some.see, [View(holding=1)])
        looks.start()
        over.wait(60)
        after.set()
    assert not after.is_set()
    assert some.reached == "--deadline 0.05s"
    assert some.check()


def test_an_interrupt_by_the_user_is_raised_as_such() -> None:
    with pytest.raises(KeyboardInterrupt), limits(deadline="6h").stopping():
        raise KeyboardInterrupt


def test_gpu_hours_count_all_actors_that_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("styleid_ray.batch.limits.time.monotonic", lambda: now)
    some = limits(gpus=0.5, max_gpu_hours=2)
    some.see(View(holding=8))
    for _ in range(3):
        now += 300
        some.see(View(holding=8))
    assert some.gpu_hours == pytest.approx(1)
    assert not some.check()
    now += 900
    with some.stopping():
        some.see(View(holding=8))
    assert some.reached == "--max-gpu-hours 2"


def test_a_limit_interrupts_also_where_a_shell_has_sigint_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        some = limits(deadline="0.01s")
        over = threading.Event()
        with some.stopping():
            threading.Timer(0.05, some.see, [View()]).start()
            over.wait(60)
        assert some.reached == "--deadline 0.01s"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with limits().stopping():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # without a limit it stays so
    finally:
        signal.signal(signal.SIGINT, before)


def test_reading_the_board_after_the_work_interrupts_nothing() -> None:
    some = limits(deadline="0.01s")
    threading.Event().wait(0.02)
    some.see(View())
    with some.stopping():
        pass
    some.see(View())
    assert some.reached is None


def test_a_limit_that_interrupts_an_error_of_the_job_does_not_hide_it() -> None:
    some = limits(deadline="0.01s")
    threading.Event().wait(0.02)

    def fail() -> None:
        with some.stopping():
            try:
                raise JobError("no node is left")
            finally:
                some.see(View())
                threading.Event().wait(60)

    with pytest.raises(JobError, match="no node is left"):
        fail()


def test_a_run_in_another_thread_stops_with_its_next_shard() -> None:
    results = []

    def run() -> None:
        some = limits(deadline="0.01s")
        threading.Event().wait(0.02)
        some.see(View(holding=1))
        results.append((some.reached, some.check()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [(None, True)]


def test_a_limit_that_cannot_work_is_refused_before_anything_is_planned() -> None:
    def job(**options: Any) -> JobConfig:
        return JobConfig(content="c", style="s", output="o", **options)

    with pytest.raises(ConfigError, match=r"--deadline 2020-01-01T00:00 has passed"):
        Limits(job(deadline="2020-01-01T00:00"))
    with pytest.raises(ConfigError, match="the actors run on CPU: leave it out"):
        Limits(job(max_gpu_hours=1, device="cpu"))
    with pytest.raises(ConfigError, match="the actors run on CPU: leave it out"):
        limits(gpus=0, max_gpu_hours=1)


def test_a_duration_that_passes_before_the_actors_start_stops_the_run() -> None:
    some = limits(deadline="0.01s")
    threading.Event().wait(0.02)
    assert some.check()
    assert some.reached == "--deadline 0.01s"


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
