"""The files that list failed pairs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from styleid_ray.batch.folder.failures import check_failures, read_failures
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.errors import JobError, OutputError

IDS = [f"{n:032x}" for n in range(5)]


def write(output: Output, name: str, *pairs: int, error: str = "why") -> None:
    """Puts a file with rows of these pairs in place."""
    columns = {"stage": "fetch", "error": error, "message": f"{error}: not there"}
    rows = [{"pair_id": IDS[n]} | columns for n in pairs]
    schema = pa.schema([(column, pa.string()) for column in ("pair_id", *columns)])
    output.write_table(name, pa.Table.from_pylist(rows, schema))


def test_a_pair_failed_when_it_is_in_errors_and_not_in_data(tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    write(output, "errors/a.parquet", 0, 1, 2)
    write(output, "data/a.parquet", 1)
    write(output, "errors/unfinished.parquet", 3)
    failures = read_failures(output, output.finished())
    assert (failures.count, failures.ids) == (2, {"a": [IDS[0], IDS[2]]})


def test_reasons_are_counted_the_most_common_first_with_an_example(tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    for shard, error, pairs in (
        ("a", "Rare", (0,)),
        ("b", "Common", (1, 2)),
        ("c", "Common", (3,)),
    ):
        write(output, f"errors/{shard}.parquet", *pairs, error=error)
        write(output, f"data/{shard}.parquet")
    failures = read_failures(output, output.finished())
    assert failures.lines() == [
        "3 pairs: fetch failed (Common), for example Common: not there",
        "1 pair: fetch failed (Rare), Rare: not there",
    ]
    assert failures.top()[0] | {"example": ""} == {
        "stage": "fetch",
        "error": "Common",
        "pairs": 3,
        "example": "",
    }


@pytest.mark.parametrize("kind", ["data", "errors"])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, kind: str) -> None:
    output = Output(str(tmp_path))
    for name in ("data/a.parquet", "errors/a.parquet"):
        write(output, name, 0)
    output.write(f"{kind}/a.parquet", b"PAR1 cut off")
    with pytest.raises(OutputError, match=rf"{kind}/a\.parquet is damaged.*verify --repair"):
        read_failures(output, {"a"})


@pytest.mark.parametrize(
    ("limit", "done", "failed", "stops"),
    [
        ("3", 0, 3, False),
        ("3", 0, 4, True),
        ("0", 0, 1, True),
        ("10%", 0, 99, False),  # too early to judge
        ("10%", 0, 100, True),
        ("10%", 90, 10, False),
        ("10%", 89, 11, True),
        ("3", 196, 4, False),  # nothing left to stop
        (None, 0, 199, False),
    ],
)
def test_a_job_stops_when_more_fails_than_the_bound_allows(
    tmp_path: Path, limit: str | None, done: int, failed: int, stops: bool
) -> None:
    output, progress = Output(str(tmp_path)), Progress(200, done, failed)
    write(output, "errors/a.parquet", 0)
    write(output, "data/a.parquet")
    if not stops:
        check_failures(limit, progress, output)
        return
    with pytest.raises(JobError, match=f"{failed} of {done + failed} .*most often 1 pair: fetch"):
        check_failures(limit, progress, output)
