"""Runs whose sources have gained pictures since they were planned."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.begin import begin, extend
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import begin_run
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.folder.verify import verify
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.run import stylize
from tests.batch.conftest import draw, pictures_of

Job = Callable[..., JobConfig]


def planned(config: JobConfig) -> Output:
    """A run that was planned and not begun to be worked on."""
    output, job = Output(config.output), prepare(config)
    begin_run(output, job, job.plan)
    return output


def extended(output: Output, config: JobConfig) -> str:
    """The lines on the screen of an extension."""
    screen = io.StringIO()
    record = output.existing_record()
    extend(output, config, record, lambda shards: Resources(1, 1, 0, 1), screen)
    return screen.getvalue()


def met(output: Output) -> set[tuple[str, str]]:
    """Content and style of each planned pair."""
    parts = [output.plan_part(name, ["content", "style"]) for name in output.files("_run/plan")]
    return {tuple(row.values()) for part in parts for row in part.to_pylist()}


def test_new_pictures_go_into_new_shards_of_new_parts_and_existing_files_stay(
    job: Job, pictures: Path
) -> None:
    output = planned(job())
    parts = Tally.read(output).parts
    before = {p: p.read_bytes() for p in (pictures / "out" / "_run" / "plan").iterdir()}
    draw(pictures / "content" / "c.png", 9)
    draw(pictures / "content" / "d.png", 10)
    assert extended(output, job()).splitlines()[0] == "2 new contents, 4 new pairs in 2 shards"
    assert {p: p.read_bytes() for p in before} == before
    after = Tally.read(output).parts
    assert {name: after[name] for name in parts} == parts
    assert sum(map(len, after.values())) == 5
    assert output.existing_record()["plan"] == {"pairs": 10, "shards": 5}
    assert extended(output, job()) == "the sources have no new pairs\n"
    assert Tally.read(output).parts == after


def test_pairs_of_pictures_that_changed_or_are_gone_stay(job: Job, pictures: Path) -> None:
    output = planned(job())
    draw(pictures / "content" / "a.png", 33, (90, 90))
    (pictures / "style" / "t.png").unlink()
    assert extended(output, job()) == "the sources have no new pairs\n"
    assert Tally.read(output).planned == 6


def test_other_parameters_in_a_table_are_new_pairs_and_no_pictures(
    job: Job, pictures: Path
) -> None:
    table = pictures / "pairs.csv"
    table.write_text("content,style,gamma\na.png,s.png,0.5\n")
    config = job(pairing="table", table=str(table))
    output = planned(config)
    table.write_text("content,style,gamma\na.png,s.png,0.25\n")
    assert extended(output, config) == "1 new pair in 1 shard\n"


def test_an_interrupted_extension_is_completed_by_the_next(job: Job, pictures: Path) -> None:
    output = planned(job())
    record = (pictures / "out" / "_run" / "config.yaml").read_bytes()
    draw(pictures / "content" / "c.png", 9)
    extended(output, job())
    output.write("_run/config.yaml", record)  # the record was not written any more
    assert "no new pairs" in extended(output, job())
    assert Tally.read(output).planned == 8
    assert verify(output, io.StringIO()).sound


def test_new_contents_of_a_balanced_run_get_the_styles_used_least(job: Job, pictures: Path) -> None:
    config = job(pairing="balanced")
    output = planned(config)
    before = met(output)
    draw(pictures / "content" / "c.png", 9)
    assert extended(output, config) == "1 new content, 1 new pair in 1 shard\n"
    after = met(output)
    assert before < after
    assert Counter(style for _, style in after) == {"s.png": 2, "t.png": 2}
    assert extended(output, config) == "the sources have no new pairs\n"
    draw(pictures / "style" / "u.png", 9)
    assert "no new pairs" in extended(output, config)
    draw(pictures / "content" / "d.png", 9)
    extended(output, config)
    assert met(output) - after == {("d.png", "u.png")}


def test_an_extended_run_computes_statistics_only_for_new_pictures(
    job: Job, pictures: Path
) -> None:
    config = job(pairing="nearest")
    output, screen = Output(config.output), io.StringIO()
    (pictures / "content" / "b.png").write_bytes(b"no picture")
    begin(output, config, lambda shards: Resources(1, 1, 0, 1), screen)
    assert "1 of 3 contents cannot be read to be compared" in screen.getvalue()
    before, files = met(output), set(output.files("_run/statistics"))
    draw(pictures / "content" / "c.png", 9)
    assert "1 new content, 1 new pair in 1 shard" in extended(output, config)
    assert before < met(output)
    (new,) = set(output.files("_run/statistics")) - files
    assert output.plan_part(new, ["key"])["key"].to_pylist() == ["c.png"]
    assert verify(output, io.StringIO()).sound


@pytest.mark.usefixtures("local_ray")
def test_an_extended_run_makes_only_the_new_pairs(quick_job: Job, pictures: Path) -> None:
    stylize(quick_job(), io.StringIO())
    files = {p: p.stat().st_mtime_ns for p in (pictures / "out" / "data").iterdir()}
    draw(pictures / "style" / "new.png", 9)
    assert stylize(quick_job(), io.StringIO()).planned == 6
    screen = io.StringIO()
    summary = stylize(quick_job(extend=True), screen)
    assert "1 new style, 3 new pairs in 2 shards" in screen.getvalue()
    assert (summary.planned, summary.done, summary.session["shards"]) == (9, 9, 2)
    assert {p: p.stat().st_mtime_ns for p in files} == files
    assert len(pictures_of(pictures / "out")) == 9
    assert verify(Output(str(pictures / "out"))).exit_status == 0
