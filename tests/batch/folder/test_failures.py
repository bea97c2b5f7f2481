"""The files that list failed pairs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from styleid_ray.batch.folder.failures import check_failures, tidy_errors
from styleid_ray.batch.folder.naming import labelled, name_of
from styleid_ray.batch.folder.output import Output, as_ids
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.errors import JobError

IDS = [f"{n:032x}" for n in range(5)]


def write(output: Output, kind: str, rows: list[int], others: list[int], message: str = "") -> str:
    """Puts a shard's file in place under its right name."""
    columns = {name: [message] * len(rows) for name in ("stage", "error", "message")}
    table = pa.table({"pair_id": [IDS[n] for n in rows], **columns})
    table = labelled(table, [IDS[n] for n in others])
    name = f"{kind}/{name_of(as_ids(table.column('pair_id')), table.schema)}.parquet"
    output.write_table(name, table)
    return name


def test_tidying_keeps_the_latest_row_of_a_failed_pair_and_none_of_a_done_one(
    tmp_path: Path,
) -> None:
    output = Output(str(tmp_path))
    first = write(output, "errors", [1, 2, 3], [0], "first")
    write(output, "data", [0], [1, 2, 3])
    again = write(output, "errors", [2, 3], [1], "again")
    write(output, "data", [1], [2, 3])
    last = write(output, "errors", [3], [2], "last")
    write(output, "data", [2], [3])
    tidy_errors(output)
    assert output.files("errors") == [last]
    assert output.read_table(last)["message"].to_pylist() == ["last"]
    assert first != again != last
    tidy_errors(output)
    assert output.files("errors") == [last]


def test_a_file_that_lost_rows_keeps_its_right_name(tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    name = write(output, "errors", [1, 2, 3], [0])
    write(output, "data", [1], [])
    tidy_errors(output)
    table = output.read_table(name)
    assert table["pair_id"].to_pylist() == [IDS[2], IDS[3]]
    assert name == f"errors/{name_of(as_ids(table.column('pair_id')), table.schema)}.parquet"


@pytest.mark.parametrize(
    ("limit", "done", "failed", "stops"),
    [
        ("3", 0, 3, False),
        ("3", 0, 4, True),
        ("0", 0, 1, True),
        ("10%", 0, 99, False),  # too early to say
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
    write(output, "errors", [0], [], "why")
    if not stops:
        check_failures(limit, progress, output)
        return
    with pytest.raises(JobError, match=f"{failed} of {done + failed} .*most often why at why"):
        check_failures(limit, progress, output)
