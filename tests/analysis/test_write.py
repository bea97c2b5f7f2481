"""The command `analyze` from two pictures to figures, numbers and page, with the tiny model."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from styleid_ray.analysis import write
from styleid_ray.analysis.write import Written, write_analysis
from styleid_ray.cli import main
from tests.analysis.conftest import blocks

FIGURES = ["ablations", "colours", "logits", "patch", "queries"]
FILES = sorted(["analysis.json", "index.html", *(f"{name}.png" for name in FIGURES)])


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("analysis")
    for name, size in (("content/<b>$a$.png", (150, 100)), ("style/s.png", (90, 90))):
        (folder / name).parent.mkdir()
        blocks(len(name), *size).save(folder / name)
    return {
        "content": str(folder / "content"),
        "style": str(folder / "style" / "s.png"),
        "output": str(folder / "out"),
        "model": str(tiny_model),
        "size": 64,
        "steps": 4,
    }


@pytest.fixture(scope="module")
def written(options: dict[str, Any]) -> tuple[Written, str]:
    stream = io.StringIO()
    return write_analysis(options, "0.25,1", stream), stream.getvalue()


@pytest.fixture(scope="module")
def output(written: tuple[Written, str], options: dict[str, Any]) -> Path:
    return Path(options["output"])


@pytest.fixture(scope="module")
def numbers(output: Path) -> dict[str, Any]:
    return json.loads((output / "analysis.json").read_text())


def given(options: dict[str, Any], changed: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in (options | changed).items()]


def test_five_figures_their_numbers_and_a_page_are_written_and_nothing_else(output: Path) -> None:
    assert sorted(path.name for path in output.iterdir()) == FILES
    for name in FIGURES:
        with Image.open(output / f"{name}.png") as figure:
            assert np.asarray(figure.convert("L")).std() > 5
            assert min(figure.size) > 250


def test_the_progress_counts_evaluations(written: tuple[Written, str]) -> None:
    made, progress = written
    assert made.page.endswith("/index.html")
    assert "31 of 31 UNet evaluations (100 %)" in progress
    assert re.fullmatch(r"31 UNet evaluations on cpu in \d+ s", made.summary)


def test_the_page_holds_the_figures_and_loads_nothing_from_elsewhere(output: Path) -> None:
    page = (output / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "&lt;b&gt;$a$.png" in page
    assert "<b>$" not in page
    assert "styleid-ray analyze --content" in page
    assert "--patch 0.25,1" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "no evidence about Stable Diffusion" not in page


def test_the_json_holds_the_numbers_of_every_figure(numbers: dict[str, Any]) -> None:
    settings = numbers["settings"]
    assert (settings["content"], settings["style"]) == ("<b>$a$.png", "s.png")
    assert (settings["steps"], settings["layers"]) == (4, [6, 7, 8, 9, 10, 11])
    assert settings["patch"] == [0.25, 1]
    assert len(numbers["logits"]) == 3 * 6
    assert len(numbers["queries"]) == 3 * 6
    assert len(numbers["patch"]) == 6
    for row in numbers["logits"]:
        assert row["tempered"] == pytest.approx(1.5 * row["injected"], rel=1e-4)
    for x in numbers["patch"]:
        rows, columns = x["grid"]
        assert x["token"] == [rows - 1, columns // 4]
        assert np.sum(x["attention"]) == pytest.approx(1, abs=1e-3)
    colours = numbers["colours"]
    assert sorted(colours) == ["content", "full", "style", "without AdaIN"]
    assert colours["style"]["style_colour_distance"] == 0
    for own in colours.values():
        for histogram in own["histograms"].values():
            assert sum(histogram["shares"]) == pytest.approx(1, abs=1e-3)


def test_the_ablations_have_the_measures_of_a_run(numbers: dict[str, Any]) -> None:
    names = ["structure", "color", "edges", "saturation", "blank", "sharpness", "copy"]
    assert len(numbers["ablations"]) == 5
    for row in numbers["ablations"]:
        assert list(row) == ["name", "changed", *names]
    missing = [row["name"] for row in numbers["ablations"] if row["structure"] is None]
    assert missing == ["without injection"]


def test_layers_and_an_oblong_content_are_shown_as_asked_for(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {"layers": "4,9", "gamma": "0", "output": str(tmp_path), "steps": "3"}
    changed |= {"size": "128", "preset": "diffusers", "temperature": "linear:1:2"}
    assert main(["analyze", *given(options, changed)]) == 0
    page, summary = capsys.readouterr().out.splitlines()
    assert page == f"{tmp_path}/index.html"
    assert summary.startswith("24 UNet evaluations on cpu in ")
    made = json.loads((tmp_path / "analysis.json").read_text())
    assert {row["layer"] for row in made["logits"]} == {4, 9}
    assert "without query preservation" not in [row["name"] for row in made["ablations"]]
    width, height = made["settings"]["content_size"]
    assert width > height
    for row in made["queries"]:
        rows, columns = np.shape(row["content"])[:2]
        assert columns / rows == width / height


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patch": "0.5,1.5"}, "--patch 0.5,1.5: name a point by two fractions"),
        ({"patch": "nan,0"}, "--patch nan,0: "),
        ({"patch": "1"}, "--patch 1: "),
        ({"layers": "2,9"}, "--layers 2: "),
        ({"gamma": "2"}, "--gamma"),
        ({"gamma": "0.2..0.8"}, "--gamma 0.2..0.8: an analysis makes one pair"),
        ({"adain": "0"}, "--adain 0: "),
        ({"content": "/no/such/picture.png"}, "--content"),
        ({"style": "{bad}"}, "--style: bad.png: not a picture in any format that can be read"),
        ({"output": "{bad}"}, "bad.png is a file: name another folder"),
        ({"output": "{content}/figures"}, "lies inside --content"),
        ({"model": "/no/such/folder"}, "--model demo"),
        ({"fit": "crop", "size": "100"}, "--size 100"),
    ],
)
def test_a_wrong_option_is_one_line_before_the_model_is_loaded(
    options: dict[str, Any],
    changed: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(write, "load", loaded)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    places = {"bad": tmp_path / "bad.png", "content": options["content"]}
    changed = {name: value.format(**places) for name, value in changed.items()}
    changed = {"output": str(tmp_path / "out")} | changed
    assert main(["analyze", *given(options, changed)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_stopped_analysis_does_not_say_that_it_resumes(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_analysis", stopped)
    assert main(["analyze", *given(options, {})]) == 130
    assert capsys.readouterr().err == "stopped\n"
