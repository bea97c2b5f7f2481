from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import PLAN_ONLY, Output
from styleid_ray.batch.folder.record import begin_run, find_run
from styleid_ray.batch.prepare import prepare, resume
from styleid_ray.cli import main
from styleid_ray.errors import ConfigError, OutputError
from tests.batch.conftest import draw


def test_a_failed_write_leaves_the_old_file_intact_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(str(tmp_path))
    output.write("data/x.parquet", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"data/x\.parquet cannot be written .*No space"):
        output.write("data/x.parquet", b"new")
    assert (tmp_path / "data" / "x.parquet").read_bytes() == b"old"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "data" / "x.parquet"]


def test_finished_shards_come_from_one_listing_without_hidden_files(tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    assert output.finished() == set()
    for name in ("data/a.parquet", "data/b.parquet", "data/.c.parquet", "errors/d.parquet"):
        output.write(name, b"")
    assert output.finished() == {"a", "b"}


def test_a_protocol_alone_is_not_a_location() -> None:
    with pytest.raises(OutputError, match=r"--output s3://: name a bucket"):
        Output("s3://")


def test_a_protocol_without_its_package_is_a_clear_error() -> None:
    with pytest.raises(OutputError, match="--output nonsense://x"):
        Output("nonsense://x")


@pytest.mark.parametrize(
    "text",
    [
        b"- just a list",
        b"config: 5\nmodel: {}",
        b"config: {}\nlayout: 3",
        b"\xff",
        b"config: !!timestamp never",
    ],
)
def test_a_damaged_record_is_a_clear_error(tmp_path: Path, text: bytes) -> None:
    output = Output(str(tmp_path))
    assert output.record() is None
    output.write("_run/config.yaml", text)
    with pytest.raises(OutputError, match="is damaged"):
        output.record()


def test_a_run_of_the_older_layout_is_refused_by_every_command_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path)
    Output(run).write("_run/config.yaml", b"config: {}\nidentity: {}\nmodel: {}\nplan: {}")
    stylize = ["stylize", "--content=c", "--style=s", "--model=demo", "--output", run]
    for command in (stylize, ["retry", run], ["status", run], ["verify", run], ["report", run]):
        assert main(command) == 2
        message = capsys.readouterr().err
        assert "has files of layout 1, and this version of styleid-ray reads layout 3" in message
        assert message.count("\n") == 1


def test_columns_of_a_table_that_resemble_those_of_the_plan_are_passed_through() -> None:
    assert {"style_place", "style2_version", "style9_place"} <= set(PLAN_ONLY)
    assert not {"style1_place", "style10_version", "style2_artist"} & set(PLAN_ONLY)


@pytest.mark.parametrize("name", ["content", "style"])
def test_an_output_whose_pictures_would_become_sources_is_refused(
    name: str, job: Callable[..., JobConfig], pictures: Path
) -> None:
    for options in ({"format": "files"}, {"format": "parquet"}, {"export": "imagefolder"}):
        for folder in (name, f"{name}/out"):
            with pytest.raises(ConfigError, match=f"--output .* lies in --{name} .*outside"):
                prepare(job(**options, output=str(pictures / folder)))
    own = {"output": str(pictures), name: str(draw(pictures / "data" / "a.png", 1).parent)}
    with pytest.raises(ConfigError, match=f"lies in --{name}"):
        prepare(job(**own))


def test_an_output_beside_the_listed_files_or_around_a_source_is_accepted(
    job: Callable[..., JobConfig], pictures: Path
) -> None:
    content = pictures / "content"
    for source in (content / "a.png", content / "*.png"):
        assert prepare(job(content=str(source), output=str(content / "out"))).plan.pairs
    (pictures / "pairs.csv").write_text("content,style\na.png,s.png\n")
    table = {"pairing": "table", "table": str(pictures / "pairs.csv")}
    assert prepare(job(**table, output=str(content / "out"))).plan.pairs == 1
    assert prepare(job(format="files", output=str(pictures))).plan.pairs == 6


def test_a_run_that_lies_in_its_own_content_stays_resumable_without_extend(
    job: Callable[..., JobConfig], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = job(output=str(pictures / "content" / "out"))
    with monkeypatch.context() as earlier:
        earlier.setattr("styleid_ray.batch.prepare.check_output_outside", lambda config: None)
        prepared = prepare(inside)
    begin_run(Output(inside.output), prepared, prepared.plan)
    assert find_run(Output(inside.output), inside)
    assert resume(Output(inside.output), inside).contents.root == inside.content


def test_an_output_that_is_a_file_is_one_clear_line(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pictures / "mk.py"
    file.touch()
    for command in (["stylize", "--content=c", "--style=s", "--output"], ["status"]):
        assert main([*command, str(file)]) == 2
        assert capsys.readouterr().err == f"error: --output {file} is a file: name a folder\n"
