from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.prepare import prepare
from styleid_ray.errors import ConfigError, OutputError


def test_a_write_that_fails_leaves_the_old_file_whole_and_nothing_beside_it(
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


def test_ids_are_read_from_all_files_once_each_and_hidden_files_are_passed_over(
    tmp_path: Path,
) -> None:
    output = Output(str(tmp_path))
    ids = [f"{i:032x}" for i in range(5)]
    output.write_table("data/b.parquet", pa.table({"pair_id": ids[2:]}))
    output.write_table("data/a.parquet", pa.table({"pair_id": ids[:3]}))
    (tmp_path / "data" / ".part.parquet").write_bytes(b"junk")
    assert output.pair_ids("data").tolist() == [i.encode() for i in ids]
    assert output.pair_ids("errors").tolist() == []
    assert output.pair_ids("errors").dtype == np.dtype("S32")


def test_a_damaged_shard_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shard-1.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(OutputError, match=r"shard-1\.parquet is damaged.*delete it"):
        Output(str(tmp_path)).pair_ids("data")


@pytest.mark.parametrize("ids", [{"pair_id": ["é"]}, {"other": [1]}])
def test_a_table_that_is_no_shard_is_named_with_the_remedy(tmp_path: Path, ids: dict) -> None:
    output = Output(str(tmp_path))
    output.write_table("data/mine.parquet", pa.table(ids))
    with pytest.raises(OutputError, match=r"mine\.parquet is damaged.*delete it"):
        output.pair_ids("data")


def test_a_protocol_alone_is_no_place() -> None:
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
        b"config: {}",
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


@pytest.mark.parametrize("name", ["content", "style"])
def test_an_output_whose_pictures_would_become_sources_is_refused(
    name: str, job: Callable[..., JobConfig], pictures: Path
) -> None:
    inside = str(pictures / name / "out")
    with pytest.raises(ConfigError, match=f"--output .*out lies in --{name} .*--format parquet"):
        prepare(job(format="files", output=inside))
    assert prepare(job(output=inside)).plan.pairs == 6
    assert prepare(job(format="files")).plan.pairs == 6
