"""Shards on their way into files: cut off, retried, read by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages.commit import GROUP_ROWS, Commit
from styleid_ray.batch.stages.shard import RESULTS, Shard
from styleid_ray.planning import shard_name, shards_of


class CutOff(Output):
    """An output that is lost after a number of files."""

    def __init__(self, url: str, files: int = 1) -> None:
        super().__init__(url)
        self.left = files

    def _put(self, aside: str, name: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        super()._put(aside, name)

    def write(self, name: str, data: bytes) -> None:
        with self.writing(name) as file:
            file.write(data)


def plan_of(*contents: str) -> pa.Table:
    """A plan of one shard: each content with the style s.png."""
    ids = np.array([f"{n:032x}" for n in range(len(contents))], "S32")
    return pa.table(
        {
            "pair_id": [i.decode() for i in ids.tolist()],
            "content": contents,
            "style": ["s.png"] * len(contents),
            "k": pa.array([0] * len(contents), pa.int32()),
            "shard": [shard_name(ids)] * len(contents),
            "gamma": pa.nulls(len(contents), pa.float64()),
            "temperature": pa.nulls(len(contents), pa.float64()),
            "content_version": pa.nulls(len(contents), pa.string()),
            "style_version": pa.nulls(len(contents), pa.string()),
            "label": pa.array(range(len(contents)), pa.int16()),
        }
    )


def results(names: list[str], good: tuple[str, ...] = ()) -> pa.Table:
    """A small picture per pair, except for broken contents that are not yet good."""
    fine: dict[str, Any] = {
        "pixels": bytes(64 * 64 * 3),
        **dict.fromkeys(("width", "height", "source_width", "source_height"), 64),
        "seconds": 0.0,
    }
    bad = {"stage": "decode", "error": "RowError", "message": f"not a picture, {good}"}
    rows = [bad if n.startswith("broken") and n not in good else fine for n in names]
    return pa.Table.from_pylist(rows, schema=RESULTS)


PLAN = plan_of("a.png", "broken.png", "c.png", "broken-2.png")
(NAME, PAIRS), *_ = shards_of(PLAN)


@pytest.fixture
def config(tmp_path: Path) -> JobConfig:
    return JobConfig(content="c", style="s", output=str(tmp_path), model="demo", size=64)


def commit(output: Output, config: JobConfig, pairs: pa.Table = PAIRS) -> None:
    shard = Shard(NAME, pairs, results=results(pairs["content"].to_pylist()))
    Commit(output, config, None).commit(shard)


def retry(output: Output, config: JobConfig, *good: str) -> dict[str, float]:
    """Retries the failed pairs, some of which now succeed."""
    failed = pads.dataset(f"{output.root}/errors", format="parquet").to_table()["pair_id"]
    pairs = PAIRS.filter(pa.array([i in failed.to_pylist() for i in PAIRS["pair_id"].to_pylist()]))
    made = results(pairs["content"].to_pylist(), good)
    return (
        Commit(output, config, None).commit(Shard(NAME, pairs, results=made, retry=True)).measures
    )


def contents(output: Path, kind: str) -> list[str]:
    return sorted(pads.dataset(output / kind, format="parquet").to_table()["content"].to_pylist())


def test_a_shard_is_one_file_under_its_own_name_with_its_failed_pairs_beside(
    config: JobConfig, tmp_path: Path
) -> None:
    commit(Output(config.output), config)
    assert [p.name for p in (tmp_path / "data").iterdir()] == [f"{NAME}.parquet"]
    assert [p.name for p in (tmp_path / "errors").iterdir()] == [f"{NAME}.parquet"]
    table = pq.read_table(tmp_path / "data")
    assert table["label"].to_pylist() == [0, 2]
    assert "content_version" not in table.column_names


def test_a_shard_interrupted_between_its_files_is_not_finished(
    config: JobConfig, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        commit(CutOff(config.output), config)
    assert contents(tmp_path, "errors") == ["broken-2.png", "broken.png"]
    assert Output(config.output).files("data") == []
    commit(Output(config.output), config)
    assert contents(tmp_path, "data") == ["a.png", "c.png"]
    assert contents(tmp_path, "errors") == ["broken-2.png", "broken.png"]


def test_a_shard_in_which_every_pair_failed_is_finished_by_a_file_without_rows(
    config: JobConfig, tmp_path: Path
) -> None:
    broken = PAIRS.filter(pa.array([n.startswith("broken") for n in PAIRS["content"].to_pylist()]))
    commit(Output(config.output), config, broken)
    empty = pq.read_table(tmp_path / "data" / f"{NAME}.parquet")
    assert (empty.num_rows, empty.schema.field("label").type) == (0, pa.int16())
    assert contents(tmp_path, "errors") == ["broken-2.png", "broken.png"]


def test_a_retry_adds_rows_to_the_shards_file_and_the_last_removes_its_errors(
    config: JobConfig, tmp_path: Path
) -> None:
    output = Output(config.output)
    commit(output, config)
    measures = retry(output, config, "broken.png")
    assert (measures["done"], measures["failed"]) == (1, 1)
    assert contents(tmp_path, "data") == ["a.png", "broken.png", "c.png"]
    assert contents(tmp_path, "errors") == ["broken-2.png"]
    assert "('broken.png',)" in pq.read_table(tmp_path / "errors")["message"][0].as_py()
    data = tmp_path / "data" / f"{NAME}.parquet"
    before = data.stat().st_mtime_ns
    retry(output, config)
    assert data.stat().st_mtime_ns == before, "no pair came out well"
    retry(output, config, "broken-2.png")
    assert contents(tmp_path, "data") == ["a.png", "broken-2.png", "broken.png", "c.png"]
    assert list((tmp_path / "errors").iterdir()) == []
    assert pq.read_table(data).schema.metadata[b"huggingface"]


def test_a_retry_interrupted_between_its_files_neither_loses_nor_doubles_a_pair(
    config: JobConfig, tmp_path: Path
) -> None:
    commit(Output(config.output), config)
    with pytest.raises(KeyboardInterrupt):
        retry(CutOff(config.output), config, "broken.png")
    assert contents(tmp_path, "data") == ["a.png", "broken.png", "c.png"]
    assert contents(tmp_path, "errors") == ["broken-2.png", "broken.png"]
    retry(Output(config.output), config, "broken-2.png")  # the other one fails again meanwhile
    assert contents(tmp_path, "data") == ["a.png", "broken-2.png", "broken.png", "c.png"]
    assert contents(tmp_path, "errors") == ["broken.png"]


def test_row_groups_are_small_enough_for_readers(config: JobConfig, tmp_path: Path) -> None:
    plan = plan_of(*(f"{'broken' if n in (7, 40, 47) else n}-{n}.png" for n in range(50)))
    ((name, pairs),) = shards_of(plan)
    output = Output(config.output)
    shard = Shard(name, pairs, results=results(pairs["content"].to_pylist()))
    Commit(output, config, None).commit(shard)

    def group_rows() -> list[int]:
        file = pq.ParquetFile(tmp_path / "data" / f"{name}.parquet").metadata
        return [file.row_group(at).num_rows for at in range(file.num_row_groups)]

    assert (max(group_rows()), sum(group_rows())) == (GROUP_ROWS, 47)
    failed = pairs.filter(pa.array([n.startswith("broken") for n in pairs["content"].to_pylist()]))
    made = results(["a"] * failed.num_rows)
    Commit(output, config, None).commit(Shard(name, failed, results=made, retry=True))
    assert (max(group_rows()), sum(group_rows())) == (GROUP_ROWS, 50)


def test_a_row_group_of_large_pictures_has_fewer_rows(
    config: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.batch.stages.commit._GROUP_BYTES", 1)
    commit(Output(config.output), config)
    file = pq.ParquetFile(tmp_path / "data" / f"{NAME}.parquet").metadata
    assert [file.row_group(at).num_rows for at in range(file.num_row_groups)] == [1, 1]
    assert pq.read_table(tmp_path / "data")["label"].to_pylist() == [0, 2]


def test_a_row_of_several_shards_goes_into_the_files_of_each(
    config: JobConfig, tmp_path: Path
) -> None:
    output = Output(config.output)
    one, two = PAIRS.slice(0, 2), PAIRS.slice(2).set_column(4, "shard", pa.array(["other"] * 2))
    for name, pairs in ((NAME, one), ("other", two)):
        made = results(pairs["content"].to_pylist())
        Commit(output, config, None).commit(Shard(name, pairs, results=made))
    failed = pa.concat_tables([one.slice(1), two.slice(1)])
    made = results(["a", "broken"])
    done = Commit(output, config, None).commit(Shard("both", failed, results=made, retry=True))
    assert (done.measures["done"], done.measures["failed"]) == (1, 1)
    assert pq.read_table(tmp_path / "data" / f"{NAME}.parquet").num_rows == 2
    assert output.files("errors") == ["errors/other.parquet"]
