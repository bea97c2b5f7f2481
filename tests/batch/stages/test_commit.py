"""Shards whose writing is cut off in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.failures import tidy_errors
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.status import Committed
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.shard import RESULTS, Shard
from styleid_ray.planning import shard_name, shards_of


class CutOff(Output):
    """An output whose second table is never written."""

    tables = 0

    def write_table(self, name: str, table: pa.Table) -> int:
        self.tables += 1
        if self.tables > 1:
            raise KeyboardInterrupt
        return super().write_table(name, table)


def plan_of(contents: list[str]) -> pa.Table:
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
        }
    )


def results(names: list[str]) -> pa.Table:
    """A small picture for each pair, but for those of broken contents."""
    good: dict[str, Any] = {
        "pixels": bytes(64 * 64 * 3),
        **dict.fromkeys(("width", "height", "source_width", "source_height"), 64),
        "seconds": 0.0,
    }
    bad = {"stage": "decode", "error": "RowError", "message": "not a picture"}
    rows = [bad if name.startswith("broken") else good for name in names]
    return pa.Table.from_pylist(rows, schema=RESULTS)


@pytest.fixture
def config(tmp_path: Path) -> JobConfig:
    return JobConfig(content="c", style="s", output=str(tmp_path), model="demo", size=64)


def commit(output: Output, config: JobConfig, left: np.ndarray | None = None) -> None:
    """Does what is left of a plan of one shard with a broken content; by default, that of now."""
    plan = plan_of(["a.png", "broken.png", "c.png"])
    for name, pairs in shards_of(plan, Committed.read(output).all if left is None else left):
        shard = Shard(name, pairs, results=results(pairs["content"].to_pylist()))
        Commit(output, config, None).commit(shard)


def contents(output: Path, kind: str) -> list[str]:
    return sorted(pads.dataset(output / kind, format="parquet").to_table()["content"].to_pylist())


def test_a_shard_cut_off_between_its_files_loses_and_doubles_no_pair(
    config: JobConfig, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        commit(CutOff(config.output), config)
    commit(Output(config.output), config)
    assert contents(tmp_path, "data") == ["a.png", "c.png"]
    assert contents(tmp_path, "errors") == ["broken.png"]


def test_a_driver_that_begins_between_the_two_writes_of_another_doubles_no_pair(
    config: JobConfig, tmp_path: Path
) -> None:
    output, nothing = Output(config.output), np.empty(0, "S32")
    with pytest.raises(KeyboardInterrupt):
        commit(CutOff(config.output), config, nothing)  # the first driver, halfway
    commit(output, config)  # the second one, from begin to end
    commit(output, config, nothing)  # the first one writes the rest
    assert contents(tmp_path, "data") == ["a.png", "c.png"]
    tidy_errors(output)
    assert contents(tmp_path, "errors") == ["broken.png"]
