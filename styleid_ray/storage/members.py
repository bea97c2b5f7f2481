"""Files inside larger files: members of a tar by their range, rows of a Parquet file.

A place says where a picture lies in its container. For a member of a tar it is
`OFFSET+SIZE SAMPLE+SIZE`: the bytes of the member, and of the sample (all members of one name)
around it. For a row of a Parquet file it is `GROUP/ROW COLUMN`: row group, row within it, column
of pictures. The key of such a picture is its container's key, a slash, and its name inside it.
"""

import re
import tarfile
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem

from styleid_ray.errors import RowError
from styleid_ray.storage.fetch import ATTEMPTS, check_size, retried, row_errors
from styleid_ray.storage.locations import Options, open_filesystem

_CONTAINER = re.compile(r".*?\.(?:tar|parquet)(?=/)", re.IGNORECASE | re.DOTALL)
_ROWS_AT_ONCE = 16
_PIECE = 2**20
"""Bytes of a column per read; a row group of pictures may be larger than memory."""
_AHEAD = 2**22
_TAR = re.compile(r"(\d+)\+(\d+) (\d+)\+(\d+)\Z")
_PARQUET = re.compile(r"(\d+)/(\d+) (.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class Range:
    """Bytes of a file."""

    offset: int
    size: int


@dataclass(frozen=True)
class Row:
    """A row of a Parquet file."""

    group: int
    row: int
    column: str


def container(key: str) -> str:
    """The key of the file that a member lies in, up to the first `.tar` or `.parquet`; raises
    ValueError for a key with neither."""
    match = _CONTAINER.match(key)
    if match is None:
        raise ValueError(f"{key} lies in no tar or Parquet file")
    return match[0]


def is_member(key: str) -> bool:
    """Whether a key names a picture inside a tar or Parquet file."""
    return _CONTAINER.match(key) is not None


def tar_place(member: Range, sample: Range) -> str:
    """The place of a member of a tar, from its bytes and its sample's, headers included."""
    return f"{member.offset}+{member.size} {sample.offset}+{sample.size}"


def member_of(place: str) -> Range | Row:
    """A place parsed: the bytes of the picture in a tar, or its row."""
    tar, row = _TAR.match(place), _PARQUET.match(place)
    if tar:
        return Range(int(tar[1]), int(tar[2]))
    assert row, place
    return Row(int(row[1]), int(row[2]), row[3])


def sample_of(place: str) -> Range:
    """The bytes of the whole sample around a member of a tar."""
    tar = _TAR.match(place)
    assert tar, place
    return Range(int(tar[3]), int(tar[4]))


def fetch_range(url: str, options: Options, where: Range) -> bytes:
    """Some bytes of a file; raises RowError of stage "fetch" when they cannot be read or lie beyond
    the end."""
    if not where.size:
        return b""
    end = where.offset + where.size
    with row_errors(options):
        filesystem, path = open_filesystem(url, options)
        data = retried(lambda: read_part(filesystem, path, where.offset, end), ATTEMPTS)
    if len(data) > where.size:
        raise RowError("fetch", "the server does not serve parts of files")
    if len(data) < where.size:
        raise RowError("fetch", "the file is shorter than when it was indexed")
    return data


def read_part(filesystem: Any, path: str, start: int, end: int) -> bytes:
    """The bytes of a file from `start` to `end`, and no others. fsspec's generic `cat_file`, which
    the Hugging Face hub's filesystem uses, would read megabytes ahead."""
    if isinstance(filesystem, AsyncFileSystem):
        range_of: Any = filesystem.cat_file
        return range_of(path, start=start, end=end)
    ahead = {} if _is_local(filesystem) else {"cache_type": "none"}
    with filesystem.open(path, "rb", **ahead) as file:
        file.seek(start)
        return file.read(end - start)


def fetch_member(url: str, options: Options, where: Range, max_bytes: int | None = None) -> bytes:
    """The bytes of a member of a tar, after a check that the header before them is of this size.

    Raises as `fetch_range`, and when the member is larger than `max_bytes` or the tar has been
    replaced.
    """
    check_size(where.size, max_bytes)
    block = tarfile.BLOCKSIZE
    around = fetch_range(url, options, Range(where.offset - block, block + where.size))
    try:
        header = tarfile.TarInfo.frombuf(around[:block], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        header = None
    # The size of a member above 8 GiB is in a pax header, and 0 in this one.
    if header is None or (header.size != where.size and where.size < 8 * 2**30):
        raise RowError("fetch", "the tar has changed since it was indexed")
    return around[block:]


def fetch_rows(
    url: str, options: Options, group: int, columns: Sequence[str], rows: Sequence[int]
) -> Iterator[pa.Table]:
    """Some rows of one row group of a Parquet file, in ascending order, a few at a time.

    The group is streamed once: memory holds a few of its rows, and the data page that they lie in
    (most writers put up to 1,024 rows into one). An interrupted read continues with the row it
    reached. Raises RowError of stage "fetch" when the file cannot be read or has fewer rows.

    Args:
        rows: ascending numbers of rows within the group.
    """
    left = list(rows)
    tables = _rows(url, options, group, columns, left)

    def following() -> pa.Table | None:
        nonlocal tables
        try:
            return next(tables, None)
        except Exception:
            tables = _rows(url, options, group, columns, left)
            raise

    while left:
        with row_errors(options):
            table = retried(following, ATTEMPTS)
        if table is None:
            raise RowError("fetch", "the file has fewer rows than when it was indexed")
        left = left[table.num_rows :]
        yield table
    tables.close()


def _rows(
    url: str, options: Options, group: int, columns: Sequence[str], rows: Sequence[int]
) -> Generator[pa.Table, None, None]:
    filesystem, path = open_filesystem(url, options)
    ahead = {} if _is_local(filesystem) else {"cache_type": "readahead", "block_size": _AHEAD}
    with (
        filesystem.open(path, "rb", **ahead) as file,
        # Otherwise Arrow reads all of the group's bytes of a column at once.
        closing(pq.ParquetFile(file, buffer_size=_PIECE, pre_buffer=False)) as parquet,
    ):
        start = done = 0
        for batch in parquet.iter_batches(
            _ROWS_AT_ONCE, row_groups=[group], columns=list(columns), use_threads=False
        ):
            end = start + batch.num_rows
            inside = rows[done : bisect_left(rows, end)]
            if inside:
                yield pa.Table.from_batches([batch]).take(pa.array([r - start for r in inside]))
            start, done = end, done + len(inside)
            if done == len(rows):
                return


def picture_in(value: Any) -> bytes:
    """The bytes of a cell that holds a picture as bytes or as a struct {bytes, path}; raises
    RowError of stage "fetch" for a cell without."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, bytes) and data:
        return data
    if isinstance(value, dict) and value.get("path"):
        raise RowError("fetch", "the row has the path of a picture, and not its bytes")
    raise RowError("fetch", "the row has no bytes of a picture")


def _is_local(filesystem: Any) -> bool:
    return isinstance(filesystem, LocalFileSystem)
