"""From the plan that is stored to the rows of work."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages.read_plan import ReadPlan
from styleid_ray.batch.stages.shard import Shard

PART = "_run/plan/part-00000.parquet"


def store(folder: Path, shards: int, pairs: int) -> Output:
    """A part of a plan with shards of equal size; all contents differ."""
    output, numbers = Output(str(folder)), range(shards * pairs)
    table = {
        "pair_id": [f"{n:032x}" for n in numbers],
        "content": [f"{n}.png" for n in numbers],
        "style": [f"{n % 3}.png" for n in numbers],
        "shard": [f"shard-{n // pairs:04d}" for n in numbers],
    }
    output.write_table(PART, pa.table(table))
    return output


def read(output: Output, **entry: list[str]) -> list[Shard]:
    return list(ReadPlan(output, most_pairs=200, most_pictures=256).read({"part": PART, **entry}))


def test_shards_are_read_whole_in_the_order_of_the_work_list(tmp_path: Path) -> None:
    shards = read(store(tmp_path, 5, 4), shards=["shard-0003", "shard-0001"])
    assert [(s.name, s.pairs.num_rows, s.retry) for s in shards] == [
        ("shard-0003", 4, False),
        ("shard-0001", 4, False),
    ]


def test_ten_thousand_scattered_failures_are_a_few_hundred_rows_at_most(tmp_path: Path) -> None:
    output = store(tmp_path, 10_000, 6)
    failed = [f"{n * 6 + n % 6:032x}" for n in range(10_000)]
    shards = read(output, pair_ids=failed)
    assert 50 <= len(shards) <= 100
    assert all(s.retry and s.pairs.num_rows <= 200 for s in shards)
    assert [i for s in shards for i in s.pairs["pair_id"].to_pylist()] == failed
    assert shards[0].name == "shard-0000 and 199 more"


def test_failed_pairs_of_one_shard_stay_together_within_the_bound_of_pictures(
    tmp_path: Path,
) -> None:
    output = store(tmp_path, 30, 6)
    failed = [f"{n:032x}" for n in range(180) if n % 6]
    rows = list(ReadPlan(output, 12, 256).read({"part": PART, "pair_ids": failed}))
    assert {s.pairs.num_rows for s in rows} == {10}
    rows = list(ReadPlan(output, 200, 3 + 10).read({"part": PART, "pair_ids": failed}))
    assert {s.pairs.num_rows for s in rows} == {10}
