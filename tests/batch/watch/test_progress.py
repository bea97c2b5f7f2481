from __future__ import annotations

import io

import pytest

from styleid_ray.batch.watch import progress
from styleid_ray.batch.watch.progress import Progress, Screen, counted, duration, shown


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (200000, "2 d 7 h"),
        (-1, "0 s"),
    ],
)
def test_durations_have_readable_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_the_line_has_pairs_rate_time_left_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    state = Progress(planned=100, done=20, failed=0)
    now = 110.0
    assert "10 s starting" in state.line()
    state.add(done=8, failed=0)
    now = 120.0
    state.add(done=10, failed=2)
    assert state.line() == "40 of 100 pairs (40 %) · 1.2 pairs/s · 50 s left · 2 of them failed"


def test_the_line_counts_evaluations_until_the_first_pair_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    state = Progress(planned=6, done=0, failed=0)
    now = 180.0
    state.evaluations = 1312
    assert state.line() == "0 of 6 pairs (0 %) · 1,312 UNet evaluations · 1 min 20 s"
    state.add(1, 0)
    assert "evaluations" not in state.line()


def test_work_of_less_than_a_second_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    state = Progress(planned=24, done=0, failed=0, unit="pictures")
    now = 100.001
    state.add(24, 0)
    assert state.line() == "24 of 24 pictures (100 %)"


def test_failed_pairs_count_as_finished_and_one_pair_is_singular() -> None:
    assert Progress(20, 17, 3).line() == "20 of 20 pairs (100 %) · 3 of them failed"
    assert Progress(1, 1, 0).line() == "1 of 1 pair (100 %)"
    assert (counted(1, "pair"), counted(1200, "pair")) == ("1 pair", "1,200 pairs")


def test_pairs_count_once_when_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    state = Progress(planned=48, done=0, failed=0)
    lines = []
    for made in (8, 16, 24):
        now += 10
        state.make(made)
        lines.append(state.line())
    assert [line.split(" of ")[0] for line in lines] == ["8", "16", "24"]
    assert lines[1:] == [
        "16 of 48 pairs (33 %) · 0.8 pairs/s · 40 s left",
        "24 of 48 pairs (50 %) · 0.8 pairs/s · 30 s left",
    ]
    state.add(done=24, failed=0)
    assert state.line() == lines[-1]
    assert (state.done, state.making, state.left) == (24, 0, 24)


def test_the_line_names_the_reason_for_waiting_after_half_a_minute_without_a_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    state = Progress(planned=100, done=0, failed=0)
    state.begin(awaited=lambda: "0 of 1 GPUs available")
    now = 125.0
    state.add(done=10, failed=0)
    now = 150.0
    assert "waiting" not in state.line()
    now = 160.0
    assert state.line().endswith(" · waiting: 0 of 1 GPUs available")


def test_the_last_line_does_not_query_a_lost_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    state = Progress(planned=4, done=0, failed=0)
    state.begin(awaited=lambda: "nobody answers")
    stream = io.StringIO()
    with shown(state, stream):
        now = 200.0
    assert "waiting" not in stream.getvalue()


def test_without_a_terminal_the_last_state_is_one_plain_line() -> None:
    stream = io.StringIO()
    with shown(Progress(4, 4, 0), stream):
        pass
    assert stream.getvalue().count("\n") == 1
    assert "\033" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_and_the_actors_in_place_and_the_last_state_as_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream, state = Terminal(), Progress(4, 1, 0)
    state.machines = "2 of 3 actors busy"
    screen = Screen(stream)
    screen.show(["features: host"], state)
    screen.show([], state)
    screen.close()
    text = stream.getvalue()
    assert text.count("features: host") == 1
    assert "━" in text
    assert "1 of 4 pairs (25 %)" in text
    assert "2 of 3 actors busy" in text
    assert "\r\033[2K" in text  # the previous state is erased

    stream = Terminal()
    with shown(Progress(4, 4, 0), stream):
        pass
    assert stream.getvalue().endswith("4 of 4 pairs (100 %)\n")


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with shown(Progress(4, 4, 0), stream):
        pass
    assert stream.getvalue() == "4 of 4 pairs (100 %)\n"


def test_a_note_of_several_actors_is_shown_once_above_the_progress() -> None:
    stream = io.StringIO()
    state = Progress(4, 4, 0)
    with shown(state, stream):
        for _ in range(2):
            state.say(["features: host (12.00 GiB of features do not fit the device)"])
    note, line = stream.getvalue().splitlines()
    assert note == "features: host (12.00 GiB of features do not fit the device)"
    assert line.startswith("4 of 4 pairs (100 %)")
