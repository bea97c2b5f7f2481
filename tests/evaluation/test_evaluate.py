"""Whole evaluations on Ray: of folders, of runs, and of what is left of them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from styleid_ray.batch.folder.output import Output
from styleid_ray.cli import main
from styleid_ray.errors import ConfigError, OutputError
from styleid_ray.evaluation.evaluate import evaluate, threads_of
from styleid_ray.evaluation.outcome import METRICS, Evaluation
from tests.batch.conftest import local_ray
from tests.evaluation.drawn import draw, tensor, write_folders
from tests.report.conftest import MakeRun, make_run

__all__ = ["local_ray", "make_run"]
pytestmark = pytest.mark.usefixtures("local_ray")
SHARED = Path(__file__).parents[3] / "shared" / "parity-eval"


def of_folders(root: Path, weights: Path, **options: Any) -> dict[str, Any]:
    named = {name: str(root / name) for name in ("stylized", "content", "style")}
    return {"weights": str(weights), **named, **options}


@pytest.fixture
def no_weights(tmp_path: Path) -> Path:
    """An empty folder: what needs no network is computed."""
    (tmp_path / "no weights").mkdir()
    return tmp_path / "no weights"


@pytest.fixture
def run(tmp_path: Path, make_run: MakeRun) -> Output:
    """A run of two contents and two styles."""
    for role, names in (("content", "ab"), ("style", "xy")):
        (tmp_path / role).mkdir()
        for name in names:
            draw(name, (64, 48)).save(tmp_path / role / f"{name}.png")
    folders = tmp_path / "content", tmp_path / "style"
    return make_run(str(tmp_path / "run"), *folders, picture_format="png")


def test_folders_have_the_values_of_another_route(
    tmp_path: Path, weights_folder: Path, expected: dict[str, Any]
) -> None:
    write_folders(tmp_path)
    found = evaluate(**of_folders(tmp_path, weights_folder))
    assert found.exit_status == 0
    assert (found.pairs, found.contents, found.styles) == (4, 3, 2)
    for metric, value in expected["whole"].items():
        assert found.values[metric] == pytest.approx(value, rel=1e-5), metric


@pytest.mark.cluster
@pytest.mark.skipif(not SHARED.is_dir(), reason="the authors' own values are not at hand")
def test_folders_have_the_values_of_the_authors_code(tmp_path: Path) -> None:
    expected = json.loads((SHARED / "expected.json").read_text())
    names = {
        "inception": "art_inception",
        "alexnet_features": "alexnet",
        "vgg19_features": "vgg19",
    }
    for network, shapes in json.loads((SHARED / "shapes.json").read_text()).items():
        gain = expected["vgg19_gain"] if network.startswith("vgg") else 1
        tensors = {
            name: torch.from_numpy(tensor(name, shape, expected["seed"], gain))
            for name, shape in shapes.items()
            if not name.endswith("num_batches_tracked")
        }
        torch.save(tensors, tmp_path / f"{names[network]}.pth")
    found = evaluate(**of_folders(SHARED, tmp_path, to=str(tmp_path / "out")))
    values = expected["values"]
    for metric in METRICS:
        near = 1e-4 if metric in ("fid", "artfid") else 1e-5
        value = values["art_fid" if metric == "artfid" else metric]
        assert found.values[metric] == pytest.approx(value, rel=near), metric
    assert found.values["fid"] == pytest.approx(expected["fid_parts"]["fid_exact"], rel=1e-6)
    rows = pq.read_table(tmp_path / "out" / "evaluation" / "pairs.parquet").to_pylist()
    pairs = {(pair["content"], pair["style"]): pair for pair in expected["pairs"]}
    assert len(rows) == len(pairs)
    for row in rows:
        pair = pairs[row["content"], row["style"]]
        for metric in ("lpips", "lpips_gray", "cfsd", "histogram_loss"):
            assert row[metric] == pytest.approx(pair[metric], rel=1e-5)


@pytest.mark.cluster
def test_a_run_has_the_values_of_its_pictures_in_folders(
    tmp_path: Path, run: Output, weights_folder: Path
) -> None:
    found = evaluate(run.url, weights=str(weights_folder))
    (tmp_path / "stylized").mkdir()
    for name in run.files("data"):
        for row in run.read_table(name).to_pylist():
            stems = (row[role].removesuffix(".png") for role in ("content", "style"))
            file = tmp_path / "stylized" / ("_stylized_".join(stems) + ".png")
            file.write_bytes(row["image"]["bytes"])
    folders = evaluate(**of_folders(tmp_path, weights_folder))
    assert found.values == pytest.approx(folders.values, rel=1e-6)
    assert found.exit_status == 0
    assert Evaluation.read(run) == found
    assert found.data_digest == run.data_digest()
    assert found.counts["cfsd"] == 4
    rows = run.read_table("evaluation/pairs.parquet").to_pylist()
    ids = [i.decode() for name in run.files("data") for i in run.read_ids(name)]
    assert sorted(row["pair_id"] for row in rows) == sorted(ids)
    assert np.mean([row["lpips"] for row in rows]) == pytest.approx(found.values["lpips"])


def test_without_weights_the_rest_is_computed_and_what_is_missing_is_said(
    run: Output, no_weights: Path
) -> None:
    out = io.StringIO()
    found = evaluate(run.url, weights=str(no_weights), stream=out)
    assert found.values["histogram_loss"]
    assert [metric for metric, value in found.values.items() if value is None] == [
        "fid",
        "lpips",
        "lpips_gray",
        "cfsd",
        "artfid",
    ]
    assert found.exit_status == 1
    assert Evaluation.read(run) == found
    assert "without CFSD: " in out.getvalue()
    assert "vgg19" not in out.getvalue(), "the reason is in the result, once"
    assert "vgg19.safetensors or vgg19.pth" in "\n".join(found.lines())


def test_moved_sources_are_found_at_their_new_location(
    tmp_path: Path, run: Output, no_weights: Path
) -> None:
    shutil.move(tmp_path / "style", tmp_path / "moved")
    messages = io.StringIO()
    gone = evaluate(run.url, weights=str(no_weights), stream=messages)
    assert "4 of 4 pictures (100 %)" in messages.getvalue()
    assert "4 could not be read, or their sources" in messages.getvalue()
    assert gone.values["histogram_loss"] is None
    assert "no style can be read" in gone.missing["histogram_loss"]
    assert gone.unreadable["style"]["pictures"] == 4
    assert any("the style of 4 pictures could not be read" in line for line in gone.lines())
    moved = evaluate(run.url, style=str(tmp_path / "moved"), weights=str(no_weights))
    assert moved.values["histogram_loss"]


def test_pictures_gone_from_beside_a_run_cost_themselves(
    tmp_path: Path, make_run: MakeRun, run: Output, no_weights: Path
) -> None:
    folders = tmp_path / "content", tmp_path / "style"
    make_run(str(tmp_path / "files"), *folders, format="files")
    next((tmp_path / "files" / "images").iterdir()).unlink()
    moved = shutil.move(tmp_path / "files", tmp_path / "elsewhere")
    found = evaluate(str(moved), weights=str(no_weights))
    assert found.pairs == 4
    assert found.unreadable["result"]["pictures"] == 1
    assert "is not beside the run" in found.unreadable["result"]["example"]
    assert found.values["histogram_loss"]


def test_one_picture_has_no_fid_and_the_reason_is_said(
    tmp_path: Path, networks: dict[str, Any]
) -> None:
    for role, name in (("stylized", "a_stylized_x"), ("content", "a"), ("style", "x")):
        (tmp_path / role).mkdir()
        draw(name, (64, 64)).save(tmp_path / role / f"{name}.png")
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.save(networks["art_inception"], weights / "art_inception.pth")
    torch.save(networks["alexnet"], weights / "alexnet.pth")
    found = evaluate(**of_folders(tmp_path, weights))
    assert found.values["lpips"]
    assert found.values["fid"] is None
    assert found.missing["artfid"] == found.missing["fid"]
    assert "at least two pictures" in found.missing["fid"]


def test_grey_and_transparent_pictures_have_the_values_of_rgb_ones(
    tmp_path: Path, no_weights: Path
) -> None:
    folders = write_folders(tmp_path / "as they are")
    plain = write_folders(tmp_path / "in RGB")
    grey, half = draw("a").convert("L"), draw("b").convert("RGBA")
    half.putalpha(128)
    for name, picture in (("a_stylized_x.png", grey), ("b_stylized_x.png", half)):
        picture.save(folders[0] / name)
        picture.convert("RGB").save(plain[0] / name)
    found, expected = (evaluate(**of_folders(f[0].parent, no_weights)) for f in (folders, plain))
    assert not found.unreadable
    assert found.values == expected.values


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to evaluate"),
        ({"run": "r", "stylized": "s"}, "take one of them"),
        ({"stylized": "s"}, "--stylized needs --content and --style"),
    ],
)
def test_what_is_missing_or_too_much_is_said(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(**options)


def test_a_damaged_shard_is_reported(run: Output, no_weights: Path) -> None:
    Path(run.path(run.files("data")[0])).write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(OutputError, match=r"damaged .*verify --repair removes it"):
        evaluate(run.url, weights=str(no_weights))


def test_an_actor_takes_no_more_cpus_than_a_node_has() -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 9}}]
    assert threads_of(nodes) == 1
    assert threads_of([]) == 1


def test_a_place_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no run at"):
        evaluate(str(tmp_path))


def test_the_command_prints_json_alone_on_stdout(
    tmp_path: Path, no_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(tmp_path)
    names = ("stylized", "content", "style")
    given = [word for name in names for word in (f"--{name}", str(tmp_path / name))]
    status = main(["evaluate", *given, "--weights", str(no_weights), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert status == 1
    assert set(METRICS) <= set(printed)
    assert printed["pairs"] == 4


def test_the_last_line_says_how_to_see_the_metrics_of_a_run(
    run: Output, no_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", run.url, "--weights", str(no_weights)])
    assert capsys.readouterr().out.endswith(f"styleid-ray report {run.url} shows them\n")
