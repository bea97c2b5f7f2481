"""Whole jobs on Ray, on the embedded model."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from PIL import Image

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.status import read_status
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.rate import actor_rate
from styleid_ray.batch.run import stylize
from styleid_ray.errors import ConfigError, OutputError
from tests.batch.conftest import draw, pictures_of, same_pictures

pytestmark = pytest.mark.usefixtures("local_ray")
Job = Callable[..., JobConfig]


def rows(output: str | Path, kind: str = "data") -> pa.Table:
    return pads.dataset(f"{output}/{kind}", format="parquet").to_table()


def test_every_pair_is_made_once_and_three_libraries_read_the_dataset(
    job: Job, pictures: Path, tmp_path: Path
) -> None:
    said = io.StringIO()
    summary = stylize(job(), said)
    assert (summary.planned, summary.done, summary.failed, summary.exit_status) == (6, 6, 0, 0)
    assert "6 of 6 pairs" in said.getvalue()

    table = rows(pictures / "out")
    pairs = set(zip(table["content"].to_pylist(), table["style"].to_pylist(), strict=True))
    assert pairs == {(c, s) for c in ("a.png", "b.png", "deep/a.jpg") for s in ("s.png", "t.png")}
    assert len(set(table["pair_id"].to_pylist())) == table.num_rows == 6

    frame = pd.read_parquet(pictures / "out" / "data")
    for row in frame.to_dict("records"):
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        source = Image.open(pictures / "content" / row["content"])
        assert image.size == source.size == (row["width"], row["height"])
        assert (row["params"]["gamma"], row["params"]["steps"]) == (0.75, 2)

    datasets = import_module("datasets")

    read = datasets.load_dataset(
        "parquet",
        data_files=f"{pictures}/out/data/*.parquet",
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert isinstance(read.features["image"], datasets.Image)
    assert {image.size for image in read["image"]} == {(80, 72), (64, 100)}


def test_a_finished_run_resumes_to_nothing_without_ray_sources_or_model(
    job: Job, finished: Path, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (pictures / "out").rglob("*") if p.is_file()}
    for folder in ("content", "style"):
        shutil.rmtree(pictures / folder)
    for name in ("begin", "resume", "_work_off"):
        monkeypatch.setattr(f"styleid_ray.batch.run.{name}", lambda *_: pytest.fail("work began"))
    screen = io.StringIO()
    assert stylize(job(), screen).exit_status == 0
    assert screen.getvalue().endswith(
        f"nothing to do: 6 of 6 pairs are done at {pictures}/out; --extend adds pictures that the "
        "sources have gained\n"
    )
    assert "other sources" not in screen.getvalue()
    stylize(job(style=f"{pictures}/other/"), screen)
    assert (
        f"other sources: --style {pictures}/other (the run has {pictures}/style): the run keeps "
        "its planned pairs; --extend adds new pictures, another --output begins a new run\n"
    ) in screen.getvalue()
    assert {p: p.stat().st_mtime_ns for p in before} == before
    # Another rule takes the place of the run's, and nothing else is written.
    record = Output(job().output).existing_record()
    for rule in ("blank>0.5", "blank>0.75"):
        stylize(job(reject=rule), screen)
        stylize(job(), screen)
        now = Output(job().output).existing_record()
        assert now == record | {"config": record["config"] | {"reject": rule}}
        assert stored_job(job().output, {}).reject == rule
    touched = [p.name for p in before if p.stat().st_mtime_ns != before[p]]
    assert touched == ["config.yaml"]


def test_a_run_resumes_with_its_plan_whatever_its_sources_have_gained_or_lost(
    job: Job, finished: Path, pictures: Path
) -> None:
    whole = pictures_of(finished)
    shards = sorted((pictures / "out" / "data").glob("*.parquet"))
    shards[0].unlink()
    draw(pictures / "content" / "new.png", 9)
    screen = io.StringIO()
    assert stylize(job(), screen).exit_status == 0
    assert "resuming: 4 of 6 pairs are done already, 2 to do" in screen.getvalue()
    same_pictures(pictures_of(pictures / "out"), whole)

    for path in (pictures / "style").iterdir():
        path.unlink()
    shards[1].unlink()
    summary = stylize(job(), io.StringIO())
    assert (summary.done, summary.failed, summary.exit_status) == (4, 2, 1)
    assert {row["stage"] for row in rows(pictures / "out", "errors").to_pylist()} == {"fetch"}


def test_only_missing_pairs_are_made_again(job: Job, finished: Path, pictures: Path) -> None:
    whole = pictures_of(pictures / "out")
    shards = sorted((pictures / "out" / "data").glob("*.parquet"))
    kept = shards[1].stat().st_mtime_ns
    shards[0].unlink()
    assert read_status(Output(str(pictures / "out"))).missing > 0

    assert stylize(job(), io.StringIO()).exit_status == 0
    same_pictures(pictures_of(pictures / "out"), whole)
    assert shards[1].stat().st_mtime_ns == kept
    assert sorted((pictures / "out" / "data").glob("*.parquet")) == shards


def test_a_pilot_stops_after_whole_shards_measures_the_rate_and_the_rest_is_made_without_it(
    job: Job, pictures: Path
) -> None:
    output, screen = Output(str(pictures / "out")), io.StringIO()
    summary = stylize(job(limit=1), screen)
    assert (summary.done, summary.missing, summary.exit_status) == (2, 4, 1)
    assert summary.stopped == "--limit 1"
    assert "2 of 2 pairs (100 %)" in screen.getvalue()
    assert "--limit 1 is rounded up to 2 pairs: shards are made whole" in screen.getvalue()
    assert "stopped by --limit 1 with 4 pairs left; run the same command" in screen.getvalue()
    assert actor_rate(output.url) == output.summary()["session"]["actor_rate"] > 0
    status = read_status(output)
    assert (status.missing, status.stopped) == (4, "--limit 1")

    screen = io.StringIO()
    summary = stylize(job(limit=4), screen)
    assert (summary.done, summary.stopped, summary.exit_status) == (6, None, 0)
    assert read_status(output).stopped is None
    assert "rounded up" not in screen.getvalue()
    assert "4 pairs made in " in screen.getvalue()
    assert f"; 6 of 6 pairs done at {output.url}" in screen.getvalue()


def test_bad_pictures_cost_their_own_pairs_and_are_listed_with_stage_and_reason(
    job: Job, pictures: Path
) -> None:
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    (pictures / "style" / "empty.jpg").write_bytes(b"")
    summary = stylize(job(), io.StringIO())
    assert (summary.planned, summary.done, summary.failed) == (12, 6, 6)
    assert summary.exit_status == 1
    errors = rows(pictures / "out", "errors").to_pylist()
    assert {e["stage"] for e in errors} == {"decode"}
    assert all("broken.png" in e["message"] or "empty.jpg" in e["message"] for e in errors)
    status = read_status(Output(str(pictures / "out")))
    assert (status.done, status.failed, status.missing, status.unplanned) == (6, 6, 0, 0)
    screen = io.StringIO()
    assert stylize(job(), screen).exit_status == 1
    assert (
        f"nothing to do: 6 of 12 pairs are done, 6 failed at {pictures}/out; retry the failed ones "
        f"with: styleid-ray retry {pictures}/out; --extend adds pictures"
    ) in screen.getvalue()


def test_crop_gives_squares_and_files_lie_beside_the_shards(job: Job, pictures: Path) -> None:
    stylize(job(fit="crop", format="files", picture_format="jpeg"), io.StringIO())
    for row in rows(pictures / "out").to_pylist():
        assert row["image"]["bytes"] is None
        image = Image.open(pictures / "out" / row["image"]["path"])
        assert (image.size, image.format) == ((64, 64), "JPEG")


def test_a_table_sets_parameters_for_each_pair_and_its_columns_come_through(
    job: Job, pictures: Path
) -> None:
    table = pa.table(
        {
            "content": ["a.png", "a.png", "b.png"],
            "style": ["s.png", "s.png", "t.png"],
            "gamma": [0.1, None, 0.9],
            "label": pa.array([7, 8, 9], pa.int16()),
            "boxes": [[[1, 2]], [], [[3, 4], [5, 6]]],
        }
    )
    pq.write_table(table, pictures / "pairs.parquet")
    summary = stylize(job(pairing="table", table=str(pictures / "pairs.parquet")), io.StringIO())
    assert summary.done == 3
    got = rows(pictures / "out")
    assert got.schema.field("label").type == pa.int16()
    by_label = {row["label"]: row for row in got.to_pylist()}
    assert by_label[9]["boxes"] == [[3, 4], [5, 6]]
    assert [by_label[n]["params"]["gamma"] for n in (7, 8, 9)] == [0.1, 0.75, 0.9]
    pixels = {n: np.asarray(Image.open(io.BytesIO(by_label[n]["image"]["bytes"]))) for n in (7, 8)}
    assert (pixels[7] != pixels[8]).any()


def test_other_parameters_on_the_same_output_are_refused_with_what_differs(
    job: Job, finished: Path
) -> None:
    with pytest.raises(OutputError, match=r"gamma: the run has 0\.75, this command 0\.3"):
        stylize(job(gamma=0.3), io.StringIO())


def test_a_folder_of_other_shards_is_not_taken_for_a_run(job: Job, pictures: Path) -> None:
    (pictures / "out" / "data").mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), pictures / "out" / "data" / "mine.parquet")
    with pytest.raises(OutputError, match="choose another --output"):
        stylize(job(), io.StringIO())


def test_layers_that_the_model_lacks_are_reported_before_any_work(job: Job, pictures: Path) -> None:
    with pytest.raises(ConfigError, match=r"--layers 1: demo has no such .* are 3-11"):
        stylize(job(layers=(1, 6)), io.StringIO())
    assert not (pictures / "out").exists()


def test_the_summary_counts_evaluations_and_seconds_of_each_stage(finished: Path) -> None:
    session = json.loads((finished / "summary.json").read_text())["session"]
    # Five pictures in three shards: what comes back in another shard is not inverted again.
    assert session["inversions"] == 5
    assert session["inversions_reused"] > 0
    assert session["unet_evaluations"] == 5 * 2 + 6
    assert session["peak_feature_bytes"] > 0
    assert session["shards"] == 3
    assert all(session[f"{stage}_seconds"] > 0 for stage in ("load", "stylize", "commit"))
