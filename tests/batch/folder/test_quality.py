"""The quality columns of a run, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.quality import read_quality, read_rejected
from styleid_ray.errors import OutputError
from styleid_ray.quality.columns import MEASURES, quality_type
from styleid_ray.quality.rule import parse_rule
from styleid_ray.quality.spread import Spread
from styleid_ray.report.measures import QUALITY, DrawnSpread

RULE = parse_rule("structure<0.4 or blank>0.9")


def shard(folder: Path, name: str, *blanks: float | None, structure: float | None = 0.5) -> str:
    """Writes a finished shard with the ids name-0, name-1, ..."""
    rows = [dict.fromkeys(MEASURES, 0.5) | {"blank": x, "structure": structure} for x in blanks]
    ids = [f"{name}-{n}" for n in range(len(blanks))]
    table = pa.table({"pair_id": ids, "quality": pa.array(rows, quality_type())})
    (folder / "data").mkdir(exist_ok=True)
    pq.write_table(table, folder / "data" / f"{name}.parquet")
    return name


def test_measures_are_summed_over_all_shards_and_rejected_pairs_counted(tmp_path: Path) -> None:
    names = [shard(tmp_path, "x", 0.0, 0.2), shard(tmp_path, "y", 0.95, None)]
    summary = read_quality(Output(str(tmp_path)), names, RULE)
    measures = summary.as_dict()["measures"]
    assert measures["blank"]["count"] == 3
    assert measures["blank"]["mean"] == pytest.approx((0.0 + 0.2 + 0.95) / 3, abs=1e-4)
    assert (measures["blank"]["p5"], measures["blank"]["p95"]) == (0.0, 0.95)
    assert summary.as_dict()["rejected"] == 1
    assert "1 of 4 pairs are rejected by structure<0.4 or blank>0.9" in summary.lines()


def test_a_measure_that_no_pair_has_is_null_and_left_out_of_the_table(tmp_path: Path) -> None:
    names = [shard(tmp_path, "x", 0.1, structure=None)]
    summary = read_quality(Output(str(tmp_path)), names, None)
    assert summary.as_dict()["measures"]["structure"] == {
        "count": 0,
        **dict.fromkeys(("mean", "p5", "p50", "p95")),
    }
    assert not any(line.startswith("structure") for line in summary.lines())
    assert "rejected" not in summary.as_dict()


def test_a_condition_on_a_measure_that_no_pair_has_is_pointed_out(tmp_path: Path) -> None:
    names = [shard(tmp_path, "x", 0.95, structure=None)]
    *_, line = read_quality(Output(str(tmp_path)), names, RULE).lines()
    assert line.startswith("no pair has a value of structure: conditions on it reject nothing")


def test_a_shard_that_is_removed_while_it_is_read_counts_no_pairs(tmp_path: Path) -> None:
    names = [shard(tmp_path, "x", 0.95), "removed"]
    output = Output(str(tmp_path))
    summary = read_quality(output, names, RULE)
    assert (summary.pairs, summary.rejected) == (1, 1)
    assert [(name, t["pair_id"].to_pylist()) for name, t in read_rejected(output, names, RULE)] == [
        ("x", ["x-0"])
    ]
    assert read_quality(output, [], RULE).lines() == ["no pair has been measured yet"]


def test_a_damaged_shard_is_named_with_its_remedy(tmp_path: Path) -> None:
    names = [shard(tmp_path, "x", 0.1)]
    (tmp_path / "data" / "x.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(OutputError, match="verify --repair removes it"):
        read_quality(Output(str(tmp_path)), names, RULE)


def test_quantiles_of_many_values_are_right_to_a_thousandth_in_bounded_memory() -> None:
    values = np.random.default_rng(0).beta(2, 5, 20_000).astype(np.float32)
    spread = Spread(0, 1)
    for part in np.split(values, 20):
        spread.add(part)
    told = spread.as_dict()
    for q in (5, 50, 95):
        assert told[f"p{q}"] == pytest.approx(np.percentile(values, q), abs=1e-3)
    drawn = DrawnSpread(QUALITY[1])
    drawn.add(values)
    assert f"{drawn.quantile(50):.3f}" == f"{told['p50']:.3f}"
    assert told["mean"] == pytest.approx(values.mean(), abs=1e-4)
