"""Labels by the keys of their pictures, in a Parquet file; a task reads only its own part."""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.datasets.keys import Keys
from styleid_ray.storage.store import Store

_GROUP_ROWS, _GROUP_BYTES = 512, 2**23
"""Most rows of a row group, and bytes of labels after which one is written."""
_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.binary())])

Piece = tuple[int, bytes]
"""The number of a picture's key, and one line about it."""
Row = tuple[str, bytes]


@dataclass(frozen=True)
class LabelTable:
    """One text per key, sorted by key: the pictures of a task, whose keys are consecutive, are in
    one or two row groups."""

    store: Store
    name: str
    starts: tuple[str, ...]
    """The first key of each row group."""

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The text of each key; None for a key without one."""
        groups = {bisect_right(self.starts, key) - 1 for key in keys} - {-1}
        table = self.store.parsed(
            self.name, lambda file: pq.ParquetFile(file).read_row_groups(sorted(groups))
        )
        texts = dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))
        return [texts.get(key) for key in keys]


def make_table(
    store: Store,
    name: str,
    keys: Keys,
    pieces: Iterable[Piece],
    whole: Callable[[list[bytes]], bytes],
) -> LabelTable:
    """Sorts pieces of text by key on this machine's disk: memory does not grow with them.

    Args:
        store, name: the table is written to this file of the store.
        keys: sorted; a key without a piece has no row.
        pieces: lines in any order.
        whole: joins the pieces of a key, in their order, to its text.
    """
    starts: list[str] = []
    with closing(sqlite3.connect("")) as database:  # a temporary file
        database.execute("CREATE TABLE pieces (number INTEGER, line BLOB)")
        database.executemany("INSERT INTO pieces VALUES (?, ?)", pieces)
        lines = database.execute("SELECT number, line FROM pieces ORDER BY number, rowid")
        rows = (
            (keys[number], whole([line for _, line in some]))
            for number, some in groupby(lines, key=lambda piece: piece[0])
        )
        with (
            store.writing(name) as file,
            pq.ParquetWriter(file, _SCHEMA, compression="zstd", write_statistics=False) as table,
        ):
            for group in _groups(rows):
                starts.append(group[0][0])
                columns = list(map(list, zip(*group, strict=True)))
                table.write_table(pa.table(columns, schema=_SCHEMA))
    return LabelTable(store, name, tuple(starts))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row[1])
        if len(group) == _GROUP_ROWS or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
