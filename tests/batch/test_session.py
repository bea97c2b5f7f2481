"""The work of one command on a run, and its summary."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from styleid_ray import JobConfig
from styleid_ray.batch.folder.failures import Failures
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.limits import Limits
from styleid_ray.batch.remake import Remake
from styleid_ray.batch.session import Session, Summary, closing_lines, resuming
from styleid_ray.quality.rule import parse_rule

PARTS = {"part-0": {"a": 2, "b": 2, "c": 2}}


def session(folder: Path, monkeypatch: Any, again: bool = False, **options: Any) -> Session:
    """A command on a run of three shards of two pairs: one pair failed, and a shard is left."""
    config = JobConfig(content="c", style="s", output=str(folder), **options)
    failures = Failures({"a": ["p"], "b": ["q"]}, Counter({("decode", "Error"): 2}))
    stored(monkeypatch, Tally(PARTS, {"a", "b"}, failures))
    return Session(Output(str(folder)), config, Limits(config), again, None)


def stored(monkeypatch: Any, tally: Tally) -> None:
    monkeypatch.setattr(Tally, "read", lambda output, parts=None: tally)


def test_a_retry_that_a_limit_stops_leaves_the_others_failed_and_not_missing(
    tmp_path: Path, monkeypatch: Any
) -> None:
    some = session(tmp_path, monkeypatch, again=True, limit=1)
    assert some.work == [{"part": "part-0", "pair_ids": ["p"]}]
    assert resuming(some) == "retrying 1 pair that failed"
    some.progress.add(done=1, failed=0)
    one_less = Failures({"b": ["q"]}, Counter({("decode", "Error"): 1}))
    stored(monkeypatch, Tally(PARTS, {"a", "b"}, one_less))
    summary = some.summarise({})
    assert (summary.done, summary.failed, summary.missing) == (3, 1, 2)
    assert (summary.stopped, summary.exit_status) == ("--limit 1", 1)
    lines = closing_lines(summary, some.output, None)
    assert "stopped by --limit 1 with 1 pair left" in lines[1]


def test_a_command_that_was_stopped_before_its_first_pair_says_so_in_the_run(
    tmp_path: Path, monkeypatch: Any
) -> None:
    some = session(tmp_path, monkeypatch, deadline="6h")
    assert resuming(some) == "resuming: 2 of 6 pairs are done, 2 failed already, 2 to do"
    some.limits.reached = "--deadline 6h"
    summary = some.summarise({})
    assert Output(str(tmp_path)).summary()["stopped"] == "--deadline 6h"
    lines = closing_lines(summary, some.output, None)
    assert "with 2 pairs left; run the same command again to resume" in lines[1]


def test_shards_whose_commit_the_driver_missed_at_the_interrupt_count(
    tmp_path: Path, monkeypatch: Any
) -> None:
    some = session(tmp_path, monkeypatch, deadline="6h")
    some.limits.reached = "--deadline 6h"
    stored(monkeypatch, Tally(PARTS, {"a", "b", "c"}, some.tally.failures))
    summary = some.summarise({})
    assert (summary.done, summary.failed, summary.missing) == (4, 2, 0)
    assert summary.stopped is None


def test_a_remake_that_a_limit_stops_before_its_first_shard_ends_with_status_1(
    tmp_path: Path,
) -> None:
    config = JobConfig(content="c", style="s", output=str(tmp_path))
    rule = parse_rule("blank>0.9")
    assert rule
    chosen = Remake(config, rule, {"gamma": 0.85})
    measures = {"seconds": 1.0, "pairs_per_second": 0.0}
    summary = Summary("o", 6, 6, 0, 0, measures, "", stopped="--deadline 6h", left=2)
    assert summary.exit_status == 1
    lines = closing_lines(summary, Output(str(tmp_path)), chosen)
    assert "stopped by --deadline 6h with 2 pairs left" in lines[1]
    assert lines[2].startswith("0 pairs remade")


def test_a_limit_reached_with_the_last_pair_does_not_count_as_a_stop(
    tmp_path: Path, monkeypatch: Any
) -> None:
    some = session(tmp_path, monkeypatch, limit=2)
    some.progress.add(done=2, failed=0)
    stored(monkeypatch, Tally(PARTS, {"a", "b", "c"}, some.tally.failures))
    assert some.summarise({}).stopped is None
