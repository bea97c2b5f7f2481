"""The quality column of a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.quality.columns import MEASURES, quality_type
from styleid_ray.report.limits import Gate
from styleid_ray.report.quality import WORST, Quality, read_measures

GATE = Gate.of({})


def write(output: Output, rows: list[tuple[str, Any]], per_file: int) -> None:
    for start in range(0, len(rows), per_file):
        part = rows[start : start + per_file]
        column = pa.array([quality for _, quality in part], quality_type())
        table = pa.table({"pair_id": [name for name, _ in part], "quality": column})
        output.write_table(f"data/shard-{start:08d}.parquet", table)


def measures_of(output: Output) -> Quality:
    return read_measures(output, output.finished(), GATE)


def structured(structure: float) -> dict[str, float | None]:
    return dict.fromkeys(MEASURES) | {"structure": structure}


@pytest.mark.parametrize("per_file", [40, 7, 1])
def test_the_worst_pairs_do_not_depend_on_the_number_of_files(
    tmp_path: Path, per_file: int
) -> None:
    rows = [(f"{(i * 37) % 40:02d}", structured((i * 37) % 40 / 400)) for i in range(40)]
    output = Output(str(tmp_path))
    write(output, [*rows, ("good", structured(0.9)), ("none", None)], per_file)
    found = measures_of(output)
    assert (found.count, found.flagged, found.rejected) == (41, 40, 0)
    assert [place.pair_id for place in found.worst] == [f"{i:02d}" for i in range(WORST)]
    for place in found.worst:
        table = output.read_table(place.file)
        assert table["pair_id"][place.row].as_py() == place.pair_id


def test_the_choice_of_equally_bad_pairs_does_not_depend_on_the_files(tmp_path: Path) -> None:
    rows = [(f"{i:02d}", structured(0.05)) for i in range(30)]
    one, other = Output(str(tmp_path / "one")), Output(str(tmp_path / "other"))
    write(one, rows, 30)
    write(other, rows[::-1], 4)
    ids = [[p.pair_id for p in measures_of(output).worst] for output in (one, other)]
    assert ids[0] == ids[1] == [f"{i:02d}" for i in range(WORST)]
