"""Pictures of a source, read wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from styleid_ray.datasets.features import IMAGE
from styleid_ray.datasets.fetch import fetch_pictures, read_together
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.parquet import source as parquet_source
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.webdataset import source as tar_source
from styleid_ray.errors import RowError
from tests.datasets.large_files import parquet_bytes, picture, tar_bytes

SCHEMA = pa.schema([("image", IMAGE)])


def wanted(source: Source) -> list[tuple[str, str | None]]:
    return list(zip(source.keys, source.places or [None] * len(source.keys), strict=True))


def outcome(file: object) -> object:
    return str(file) if isinstance(file, RowError) else file.data  # pyright: ignore


def test_rows_of_one_row_group_are_read_together_and_other_pictures_singly() -> None:
    places = ["0/0 image", "0+1 0+1024", "1/0 image", None, "0/1 image"]
    keys = ["a.parquet/0", "x.tar/0.jpg", "a.parquet/2", "loose.png", "a.parquet/1"]
    assert read_together(list(zip(keys, places, strict=True))) == [[0, 4], [1], [2], [3]]
    assert read_together([("b.parquet/0", "0/0 image"), ("a.parquet/0", "0/0 image")]) == [[0], [1]]


def test_pictures_of_tars_are_their_members_byte_for_byte(tmp_path: Path) -> None:
    files = {f"{n:03}.png": picture(n) for n in range(5)}
    (tmp_path / "x.tar").write_bytes(tar_bytes(files))
    options = DatasetOptions(str(tmp_path), "content")
    source = tar_source(list_files(options.url, "content"), options)
    found = dict(fetch_pictures(source.place, wanted(source)))
    assert [outcome(found[index]) for index in range(5)] == list(files.values())


def test_rows_that_cannot_be_read_cost_no_other_row(tmp_path: Path) -> None:
    large = bytes(5000)
    cells = [
        {"bytes": picture(0), "path": "0.png"},
        None,
        {"bytes": None, "path": "beside.png"},
        {"bytes": large, "path": None},
        {"bytes": picture(4), "path": None},
    ]
    rows = [{"image": cell} for cell in cells]
    (tmp_path / "x.parquet").write_bytes(parquet_bytes(rows, SCHEMA, group=10))
    options = DatasetOptions(str(tmp_path), "content")
    source = parquet_source(list_files(options.url, "content"), options)
    backwards = wanted(source)[::-1]
    found = dict(fetch_pictures(source.place, backwards, max_bytes=4000))
    assert [outcome(found[index]) for index in range(5)] == [
        picture(4),
        "the file has more than 4,000 bytes (--max-bytes)",
        "the row has the path of a picture, and not its bytes",
        "the row has no bytes of a picture",
        picture(0),
    ]


def test_a_deleted_file_is_an_error_of_its_own_rows_only(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": picture(n), "path": None}} for n in range(2)]
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(parquet_bytes(rows, SCHEMA))
    options = DatasetOptions(str(tmp_path), "content")
    source = parquet_source(list_files(options.url, "content"), options)
    (tmp_path / "a.parquet").unlink()
    found = [outcome(file) for _, file in fetch_pictures(source.place, wanted(source))]
    assert found == ["the file does not exist"] * 2 + [picture(0), picture(1)]
