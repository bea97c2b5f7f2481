"""Rows that are made again take the place of the old ones, whole at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import REMADE, Output
from styleid_ray.batch.folder.readback import Finding, check_shard
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.shard import RESULTS, Done, Shard, done_in
from styleid_ray.planning import shards_of
from styleid_ray.quality.columns import MEASURES
from tests.batch.stages.test_commit import CutOff, plan_of

PLAN = plan_of("a.png", "b.png", "c.png", "broken.png")
(NAME, PAIRS), *_ = shards_of(PLAN)
IDS = dict(zip(PAIRS["content"].to_pylist(), PAIRS["pair_id"].to_pylist(), strict=True))
BAD = {"stage": "decode", "error": "RowError", "message": "not a picture"}


def job(folder: Path, **options: Any) -> JobConfig:
    given: dict[str, Any] = {"content": "c", "style": "s", "output": str(folder), "model": "demo"}
    return JobConfig(**given, size=64, **options)


def result(grey: int, quality: dict[str, float | None] | None) -> dict[str, Any]:
    sides = dict.fromkeys(("width", "height", "source_width", "source_height"), 64)
    return {"pixels": bytes([grey]) * 64 * 64 * 3, "seconds": 0.0, "quality": quality, **sides}


def measured(**values: float | None) -> dict[str, float | None]:
    return dict.fromkeys(MEASURES) | values


def first(config: JobConfig, output: Output | None = None) -> None:
    """Commits the shard: one pair fails, the others have a blank share of 0.1, 0.95 and 0.97."""
    rows = [result(50, measured(blank=blank)) for blank in (0.1, 0.95, 0.97)] + [BAD]
    results = pa.Table.from_pylist(rows, schema=RESULTS)
    Commit(output or Output(config.output), config, None).commit(
        Shard(NAME, PAIRS, results=results)
    )


def again(config: JobConfig, output: Output | None = None, **grey: int | None) -> Done:
    """Makes some contents' pairs again, each with a shade of grey; None fails."""
    ids = [IDS[f"{name}.png"] for name in grey]
    pairs = PAIRS.filter(pa.array([i in ids for i in PAIRS["pair_id"].to_pylist()]))
    rows = [BAD if g is None else result(g, measured(blank=0.2)) for g in grey.values()]
    results = pa.Table.from_pylist(rows, schema=RESULTS)
    shard = Shard(NAME, pairs, results=results, retry=True, remake=True)
    done = Commit(output or Output(config.output), config, None).commit(shard)
    (reported,) = done_in(done.to_block())
    return reported


def rows(config: JobConfig) -> dict[str, dict[str, Any]]:
    table = pq.read_table(f"{config.output}/data/{NAME}.parquet")
    return {row["content"]: row for row in table.to_pylist()}


def test_new_rows_say_what_they_were_made_with_and_the_others_stay(tmp_path: Path) -> None:
    first(job(tmp_path))
    before = rows(job(tmp_path))
    counts = again(job(tmp_path, gamma=0.9, detail=0.5), b=90, c=91).measures
    after = rows(job(tmp_path))
    assert (counts["done"], counts["failed"]) == (2, 0)
    assert after.keys() == before.keys()
    assert {n: row["pair_id"] for n, row in after.items()} == {
        n: row["pair_id"] for n, row in before.items()
    }
    gammas = {
        name: (row["params"]["gamma"], row["params"]["detail"]) for name, row in after.items()
    }
    assert gammas == {"a.png": (0.75, 0.0), "b.png": (0.9, 0.5), "c.png": (0.9, 0.5)}
    assert after["a.png"]["image"] == before["a.png"]["image"]
    assert after["b.png"]["image"]["bytes"] != before["b.png"]["image"]["bytes"]
    assert after["b.png"]["quality"]["blank"] == pytest.approx(0.2)
    assert after["a.png"]["quality"]["blank"] == pytest.approx(0.1)


def test_pairs_that_failed_before_stay_failed_and_one_that_fails_now_keeps_its_row(
    tmp_path: Path,
) -> None:
    first(job(tmp_path))
    before = rows(job(tmp_path))
    done = again(job(tmp_path, gamma=0.9), b=None, c=91)
    assert (done.measures["done"], done.measures["failed"]) == (1, 1)
    assert done.failed == ({"pair_id": IDS["b.png"], **BAD},)
    assert rows(job(tmp_path))["b.png"] == before["b.png"]
    errors = pq.read_table(tmp_path / "errors" / f"{NAME}.parquet")
    assert errors["content"].to_pylist() == ["broken.png"]
    none = again(job(tmp_path, gamma=0.9), b=None)
    assert (none.measures["failed"], len(none.failed)) == (1, 1)


def test_an_interrupted_remake_leaves_the_old_file_intact(tmp_path: Path) -> None:
    first(job(tmp_path))
    before = rows(job(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        again(job(tmp_path), CutOff(str(tmp_path), files=0), b=90)
    assert rows(job(tmp_path)) == before


def test_pictures_beside_the_file_match_its_rows_old_or_new(tmp_path: Path) -> None:
    config = job(tmp_path, format="files")
    first(config)
    with pytest.raises(KeyboardInterrupt):  # the picture is written, the row is not
        again(job(tmp_path, format="files", gamma=0.9), CutOff(str(tmp_path), files=1), b=90)
    old = tmp_path / rows(config)["b.png"]["image"]["path"]
    assert old.exists()
    again(job(tmp_path, format="files", gamma=0.9), b=90)
    named = {tmp_path / row["image"]["path"] for row in rows(config).values()}
    assert {*(tmp_path / "images").iterdir()} == named
    assert not old.exists()
    again(job(tmp_path, format="files", gamma=0.9), b=91)  # the same parameters, the same name
    assert {*(tmp_path / "images").iterdir()} == named


def test_a_shard_whose_pairs_were_made_again_is_sound(tmp_path: Path) -> None:
    first(job(tmp_path))
    again(job(tmp_path, gamma=0.9), b=90)
    planned = np.array(PAIRS["pair_id"].to_pylist(), "S32")
    check = check_shard(Output(str(tmp_path)), NAME, planned, has_errors=True)
    assert check.done == 3
    assert check.findings == [Finding("failed", IDS["broken.png"])]


def test_each_remake_changes_the_mark_in_the_files_metadata_and_the_digest_of_the_run(
    tmp_path: Path,
) -> None:
    def mark() -> bytes | None:
        return pq.read_schema(tmp_path / "data" / f"{NAME}.parquet").metadata.get(REMADE)

    first(job(tmp_path))
    output = Output(str(tmp_path))
    marks, digests = [mark()], {output.data_digest()}
    for config in (job(tmp_path, gamma=0.9), job(tmp_path, gamma=0.9), job(tmp_path)):
        again(config, b=90)
        marks.append(mark())
        digests.add(output.data_digest())
    assert marks[0] is None
    assert len(set(marks)) == len(digests) == 4
    results = pa.Table.from_pylist([result(1, None)], schema=RESULTS)
    failed = PAIRS.filter(pa.array([i == IDS["broken.png"] for i in PAIRS["pair_id"].to_pylist()]))
    shard = Shard(NAME, failed, results=results, retry=True)
    Commit(output, job(tmp_path), None).commit(shard)
    assert mark() == marks[-1]
