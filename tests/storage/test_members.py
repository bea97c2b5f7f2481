"""Pictures inside tars and Parquet files."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
import stamina
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from styleid_ray.errors import RowError
from styleid_ray.storage.members import (
    Range,
    Row,
    container,
    fetch_member,
    fetch_range,
    fetch_rows,
    is_member,
    member_of,
    picture_in,
    sample_of,
    tar_place,
)
from styleid_ray.storage.tars import members, open_tar
from tests.datasets.large_files import tar_bytes


def rows_file(path: Path, count: int, size: int, group: int) -> Path:
    """A Parquet file of pictures of so many random bytes, each beginning with its number."""
    values = [f"{row:08d}".encode() + os.urandom(size) for row in range(count)]
    image = [{"bytes": value, "path": None} for value in values]
    table = pa.table({"image": image, "n": list(range(count))})
    # Pages of a few rows.
    pq.write_table(table, path, row_group_size=group, compression="none", write_batch_size=16)
    return path


def numbers(tables: object) -> list[int]:
    return [int(row["image"]["bytes"][:8]) for t in tables for row in t.to_pylist()]  # pyright: ignore


def test_a_place_is_parsed_back_to_its_range_or_row() -> None:
    place = tar_place(Range(1536, 70), Range(512, 2048))
    assert member_of(place) == Range(1536, 70)
    assert sample_of(place) == Range(512, 2048)
    for column in ("image", "a b/c", "5+5 5+5", "x\ny"):
        assert member_of(f"3/14 {column}") == Row(3, 14, column)


@pytest.mark.parametrize(
    ("key", "file"),
    [
        ("a.tar/0001.jpg", "a.tar"),
        ("deep/B.TAR/folder/x.y.png", "deep/B.TAR"),
        ("s3://bucket/train.parquet/0012", "s3://bucket/train.parquet"),
        ("a.tar/b.tar/c.png", "a.tar"),
    ],
)
def test_the_key_of_a_member_begins_with_its_file(key: str, file: str) -> None:
    assert is_member(key)
    assert container(key) == file


def test_a_picture_beside_a_tar_is_no_member_of_one() -> None:
    assert not is_member("a.tar.png")
    assert not is_member("folder/a.tar")
    with pytest.raises(ValueError, match="lies in no tar"):
        container("a.png")


def test_a_member_is_read_on_a_disk_and_in_a_bucket(tmp_path: Path, s3: str) -> None:
    data = tar_bytes({"a.jpg": b"first", "b.jpg": b"second picture"})
    (tmp_path / "x.tar").write_bytes(data)
    s3fs.S3FileSystem().pipe_file(f"{s3}/x.tar", data)
    _, second = members(io.BytesIO(data))
    for url in (str(tmp_path / "x.tar"), f"{s3}/x.tar"):
        assert fetch_member(url, None, second.data) == b"second picture"
        assert fetch_range(url, None, Range(0, 5)) == b"a.jpg"
        with pytest.raises(RowError, match="shorter than when it was indexed"):
            fetch_range(url, None, Range(len(data) - 5, 10))
        with pytest.raises(RowError, match=r"more than 3 bytes \(--max-bytes\)"):
            fetch_member(url, None, second.data, max_bytes=3)
    with pytest.raises(RowError, match="does not exist"):
        fetch_member(str(tmp_path / "gone.tar"), None, second.data)


def test_a_member_of_a_tar_inside_a_zip_is_read(tmp_path: Path) -> None:
    data = tar_bytes({"a.jpg": b"picture"})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("deep/x.tar", data)
    (member,) = members(io.BytesIO(data))
    url = f"zip://deep/x.tar::file://{tmp_path}/all.zip"
    assert fetch_member(url, None, member.data) == b"picture"
    with open_tar(url, None, len(data)) as opened:
        assert [one.name for one in members(opened)] == ["a.jpg"]


def test_a_picture_of_a_tar_that_was_replaced_is_an_error_and_not_other_bytes(
    tmp_path: Path,
) -> None:
    tar = tmp_path / "x.tar"
    tar.write_bytes(tar_bytes({"a.jpg": b"first", "b.jpg": b"second"}))
    _, second = members(io.BytesIO(tar.read_bytes()))
    tar.write_bytes(tar_bytes({"a.jpg": bytes(3000), "b.jpg": b"second"}))
    with pytest.raises(RowError, match="the tar has changed since it was indexed"):
        fetch_member(str(tar), None, second.data)


def test_rows_of_a_group_come_in_order_wherever_they_lie_in_it(tmp_path: Path) -> None:
    file = str(rows_file(tmp_path / "x.parquet", 100, 10, 50))
    assert numbers(fetch_rows(file, None, 1, ["image"], [0, 1, 17, 49])) == [50, 51, 67, 99]
    assert numbers(fetch_rows(file, None, 0, ["image"], [33])) == [33]
    assert numbers(fetch_rows(file, None, 0, ["image"], [])) == []
    (table,) = fetch_rows(file, None, 0, ["n"], [3])
    assert table.to_pylist() == [{"n": 3}]


def test_a_row_that_a_file_no_longer_has_is_an_error(tmp_path: Path) -> None:
    file = str(rows_file(tmp_path / "x.parquet", 20, 10, 10))
    tables = fetch_rows(file, None, 1, ["image"], [2, 10])
    assert numbers([next(tables)]) == [12]
    with pytest.raises(RowError, match="fewer rows than when it was indexed"):
        next(tables)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(RowError, match="ArrowInvalid"):
        list(fetch_rows(file, None, 0, ["image"], [0]))


def test_a_group_of_a_thousand_pictures_is_read_in_a_fraction_of_its_size(tmp_path: Path) -> None:
    file = str(rows_file(tmp_path / "x.parquet", 1000, 60_000, 1000))
    default, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        rows = sum(t.num_rows for t in fetch_rows(file, None, 0, ["image"], list(range(1000))))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)
    assert rows == 1000
    assert 0 < pool.max_memory() + most < os.path.getsize(file) / 5


def test_rows_resume_where_a_connection_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rows_file(tmp_path / "x.parquet", 200, 100_000, 200).read_bytes()
    monkeypatch.setattr(MemoryFileSystem, "store", {"/x.parquet": MemoryFile(data=data)})
    reads, read = 0, MemoryFile.read

    def breaking(file: MemoryFile, *size: int) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 12:
            raise ConnectionError("reset by peer")
        return read(file, *size)

    monkeypatch.setattr(MemoryFile, "read", breaking)
    rows = list(range(0, 200, 3))
    with stamina.set_testing(True, attempts=2):
        assert numbers(fetch_rows("memory://x.parquet", None, 0, ["image"], rows)) == rows
    assert reads > 24
    reads = 0
    with stamina.set_testing(True, attempts=1), pytest.raises(RowError, match="reset by peer"):
        list(fetch_rows("memory://x.parquet", None, 0, ["image"], rows))


def test_a_cell_without_bytes_says_what_it_lacks() -> None:
    assert picture_in(b"x") == picture_in({"bytes": b"x", "path": None}) == b"x"
    with pytest.raises(RowError, match="has the path of a picture, and not its bytes"):
        picture_in({"bytes": None, "path": "beside.png"})
    for cell in (None, b"", {"bytes": None, "path": None}, "text"):
        with pytest.raises(RowError, match="has no bytes of a picture"):
            picture_in(cell)
