"""How far a run is, by its output alone."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder import status
from styleid_ray.batch.folder.failures import Failures
from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.batch.folder.status import Status, read_status, statuses, watch_status
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.run import stylize
from styleid_ray.batch.watch.live import Live
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.cli import main

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture
def half_done(finished: Path, pictures: Path) -> list[Path]:
    """The shards of a run of 6 pairs whose last shard is not yet in place, but beside it."""
    shards = sorted((finished / "data").glob("*.parquet"))
    shards[-1].rename(pictures / "last")
    return shards


def test_a_run_is_watched_until_its_last_shard_is_there(
    half_done: list[Path], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_LOOK_SECONDS", 0.05)
    said = io.StringIO()
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr("styleid_ray.batch.watch.progress._LINE_SECONDS", 0.05)
        watched = pool.submit(watch_status, Output(str(pictures / "out")), said)
        deadline = time.monotonic() + 60
        try:
            while "without a new pair" not in said.getvalue():
                assert time.monotonic() < deadline, said.getvalue()
            assert not watched.done()
        finally:
            (pictures / "last").rename(half_done[-1])
        found = watched.result(timeout=60)
    assert (found.done, found.missing) == (6, 0)
    assert said.getvalue().splitlines()[-1].startswith("6 of 6 pairs (100 %)")


def test_the_plan_is_read_once_and_no_data_file_is_opened_however_often_a_run_is_looked_at(
    half_done: list[Path], pictures: Path
) -> None:
    looks = statuses(Output(str(pictures / "out")))
    before = next(looks)
    assert before.missing > 0
    half_done[0].write_bytes(b"no longer a Parquet file")
    for part in (pictures / "out" / "_run" / "plan").iterdir():
        part.write_bytes(b"neither")
    (pictures / "last").rename(half_done[-1])
    assert next(looks).missing == 0
    half_done[0].unlink()
    assert next(looks).missing > 0


def test_why_pairs_failed_and_the_command_to_retry_them_are_in_the_status_and_the_closing_line(
    job: Callable[..., JobConfig], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    run, screen = str(pictures / "out"), io.StringIO()
    stylize(job(), screen)
    assert main(["status", run]) == 1
    status = capsys.readouterr().out
    for text in (screen.getvalue(), status):
        assert "2 pairs: decode failed, for example content broken.png: not a picture" in text
        assert f"styleid-ray retry {run}" in text
    assert main(["status", run, "--json"]) == 1
    (reason,) = json.loads(capsys.readouterr().out)["reasons"]
    assert (reason["stage"], reason["pairs"]) == ("decode", 2)


def test_status_names_no_limit_while_a_stopped_run_is_resumed(
    half_done: list[Path], pictures: Path
) -> None:
    output = Output(str(pictures / "out"))
    missing = read_status(output).missing
    hint = "run the stylize command again to make the missing pairs"
    assert read_status(output).remarks(output.url) == [hint]
    output.write(SUMMARY, json.dumps({"missing": missing, "stopped": "--deadline 6h"}).encode())
    assert hint not in read_status(output).remarks(output.url)
    assert read_status(output).stopped == "--deadline 6h"
    live = Live(output, Progress(6, 4, 0))
    assert read_status(output).stopped is None
    (line,) = read_status(output).remarks(output.url)
    assert line.startswith(
        "a command is making pairs; if it was killed less than two minutes ago, run it again"
    )
    live.close()
    assert read_status(output).stopped == "--deadline 6h"


@pytest.mark.parametrize(("missing", "stopped"), [(4, "--limit 1"), (6, "--limit 1"), (2, None)])
def test_a_shard_committed_after_the_summary_does_not_hide_the_limit_that_stopped_the_run(
    missing: int, stopped: str | None
) -> None:
    tally = Tally({"part-0": {"a": 2, "b": 4}}, {"a"}, Failures())
    assert Status.of(tally, "", {"missing": missing, "stopped": "--limit 1"}).stopped == stopped
    done = Tally({"part-0": {"a": 2}}, {"a"}, Failures())
    assert Status.of(done, "", {"missing": missing, "stopped": "--limit 1"}).stopped is None


def test_watching_a_finished_run_ends_at_once(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(finished), "--watch", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["done"] == 6
    assert told.err == "6 of 6 pairs (100 %)\n"
