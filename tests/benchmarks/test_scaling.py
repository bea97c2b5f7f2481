"""Where the time of actors went, told from the clock of each shard."""

from __future__ import annotations

import pytest

from benchmarks.jobs import Ran
from benchmarks.scaling import occupation


def shard(actor: int, began: float, ended: float) -> dict[str, float]:
    return {"actor": actor, "began": began, "ended": ended}


def test_an_actors_time_is_starting_busy_between_shards_or_ending() -> None:
    shards = [shard(1, 1, 5), shard(2, 2, 6), shard(1, 6, 10), shard(2, 6, 10)]
    spent = occupation(Ran(began=0, committed=[5.5, 6.5, 11, 12], shards=shards))
    assert spent.busy == pytest.approx(16 / 24)
    assert spent.starting == pytest.approx(3 / 24)
    assert spent.between == pytest.approx(1 / 24)
    assert spent.ending == pytest.approx(4 / 24)
    assert (spent.steady_seconds, spent.steady) == (8, pytest.approx(15 / 16))
    assert spent.gap == 0.5


def test_actors_that_never_worked_at_one_time_have_no_steady_state() -> None:
    spent = occupation(Ran(0, [2, 6], [shard(1, 0, 2), shard(2, 4, 6)]))
    assert spent.steady != spent.steady  # not a number
    assert spent.steady_seconds == 0
