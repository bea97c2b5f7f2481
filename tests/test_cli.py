"""The command line as a person meets it. Nothing here starts Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import styleid_ray
from styleid_ray.cli import COMMANDS, main
from tests.batch.conftest import draw


@pytest.fixture
def args(tmp_path: Path, tiny_model: Path) -> list[str]:
    for name in "ab":
        draw(tmp_path / "content" / f"{name}.png", 1)
        draw(tmp_path / "style" / f"{name}.png", 2)
    return [
        f"--content={tmp_path}/content",
        f"--style={tmp_path}/style",
        f"--output={tmp_path}/out",
        f"--model={tiny_model}",
    ]


def test_plan_counts_pairs_shards_and_evaluations_and_writes_nothing(
    args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *args, "--json", "--rate", "1000"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["pairs"], said["shards"]) == (4, 1)
    assert said["unet_evaluations"] == 4 * 50 + 4 * 49
    assert said["naive_unet_evaluations"] == 4 * 149
    assert said["floor_unet_evaluations"] == said["unet_evaluations"]
    assert said["seconds"] == 0.4
    assert not (tmp_path / "out").exists()


def test_plan_says_it_with_units_to_a_person(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *args, "--rate", "0.1", "--price", "2", "--shard-pairs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line[:23].strip(): line[25:] for line in lines}
    assert said["pairs"] == "4 of 2 contents and 2 styles"
    assert said["GPU hours"] == "1.66 h"
    assert said["cost"] == "3.31 in the unit of --price"
    assert said["minimum possible"] == "396 (plan / minimum = 1.51)"
    assert said["memory, features host"].endswith("GiB on the host")
    assert {line[23:25] for line in lines} == {"  "}


def test_a_plan_needs_no_output(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    without = [arg for arg in args if not arg.startswith("--output")]
    assert len(without) == len(args) - 1
    assert main(["plan", *without, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 4


def test_a_job_file_gives_options_and_the_command_line_overrides_them(
    args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("".join(arg[2:].replace("=", ": ", 1) + "\n" for arg in args) + "steps: 10\n")
    assert main(["plan", "--config", str(job), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unet_evaluations"] == 4 * 10 + 4 * 9
    assert main(["plan", "--config", str(job), "--json", "--steps", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["unet_evaluations"] == 4 * 5 + 4 * 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gamma=2"], "--gamma"),
        (["--layers=1"], "--layers 1: "),
        (["--content=/no/such/folder"], "--content: /no/such/folder"),
        (["--pairing=random", "--styles-per-content=3"], "--styles-per-content"),
        (["--model=/no/such/folder"], "--model demo"),
        (["--output=nonsense://x"], "--output nonsense://x"),
        (["--fit=crop", "--size=100"], "--size"),
        (["--reuse"], "reuse"),
    ],
)
def test_what_cannot_work_is_one_line_that_names_the_option_and_status_2(
    args: list[str], options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {option.partition("=")[0] for option in options}
    others = [arg for arg in args if arg.partition("=")[0] not in given]
    assert main(["stylize", *others, *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_status_of_a_place_without_a_run_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert "there is no run at" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_explains_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: styleid-ray {command} " in text
    if command in ("stylize", "plan"):
        assert "Query preservation" in text


def test_a_mistyped_word_is_one_line_and_status_2(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stylize", *args, "--stepz", "1"]) == 2
    assert capsys.readouterr().err == (
        "error: stylize has no option --stepz; did you mean --steps?\n"
    )


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"styleid-ray {styleid_ray.__version__}\n"


def test_help_shows_the_usual_options_in_groups_and_all_when_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["stylize", "--help"]) == 0
    usual = capsys.readouterr().out
    assert main(["stylize", "--help-all"]) == 0
    everything = capsys.readouterr().out
    for group in ("source and pairing", "output", "style", "model", "machine", "run"):
        assert f" {group} options " in usual
    assert "--gamma " in usual
    assert "--vae-tile " not in usual
    assert "--vae-tile N" in everything
    assert usual.endswith("More options: styleid-ray stylize --help-all\n")
    assert "None" not in everything


def test_help_of_retry_has_no_defaults_because_those_of_the_run_hold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["retry", "--help-all"]) == 0
    text = capsys.readouterr().out
    assert "(default" not in text
    assert text.index(" --rejected options ") < text.index("--gamma NUMBER")


def test_help_of_an_analysis_offers_only_single_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["analyze", "--help-all"]) == 0
    text = capsys.readouterr().out
    assert "--gamma NUMBER|SCHEDULE" in text
    assert "one variant per value" not in " ".join(text.split())


def test_the_list_of_commands_has_one_sentence_per_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert main(["help"]) == 0
    assert capsys.readouterr().out == listed
    assert all(f"• {command} " in listed for command in COMMANDS)
    assert "Example" not in listed


def test_output_that_is_cut_off_leaves_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-m", "styleid_ray.cli", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (128 + signal.SIGPIPE, b"")


def test_help_before_a_command_is_the_help_of_that_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status", "--help"]) == 0
    shown = capsys.readouterr().out
    assert main(["help", "status"]) == 0
    assert capsys.readouterr().out == shown
    assert main(["help", "staus"]) == 2
    assert "did you mean status?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sample 0", "--sample 0: must be 1 or more"),
        ("--sample -3 --watch", "--sample -3: must be 1 or more"),
        ("--watch --to page.html", "--to has no effect with --watch"),
        ("--port 9000", "--port has no effect without --watch: leave it out"),
    ],
)
def test_an_option_of_report_that_cannot_count_is_one_line(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path), *options.split()]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
