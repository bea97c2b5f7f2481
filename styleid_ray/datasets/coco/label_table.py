"""Labels by the keys of their pictures, in Parquet files; a task reads only its own part."""

import os
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.datasets.keys import Keys
from styleid_ray.storage.store import Store

_FILE_BYTES = 2**23
_MOST_FILES = 512
_BUFFER = 2**23
_ROWS_OF_GROUP = 64
_SCHEMA = pa.schema([("key", pa.string()), ("label", pa.binary())])

Piece = tuple[int, bytes]
"""The number of a picture's key, and one line about it."""


@dataclass(frozen=True)
class LabelTable:
    """One text per key, in a file per range of keys: the pictures of a task, whose keys are
    consecutive, are in one or two files."""

    store: Store
    folder: str
    starts: tuple[str, ...]
    """The first key of each file."""

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The text of each key; None for a key without one."""
        wanted: dict[int, list[str]] = defaultdict(list)
        for key in keys:
            wanted[max(bisect_right(self.starts, key) - 1, 0)].append(key)
        texts: dict[str, bytes] = {}
        for number, some in wanted.items():
            read = partial(pq.read_table, filters=[("key", "in", some)])
            table = self.store.parsed(_name(self.folder, number), read)
            texts |= zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True)
        return [texts.get(key) for key in keys]


def make_table(
    store: Store,
    folder: str,
    keys: Keys,
    size: int,
    pieces: Iterable[Piece],
    whole: Callable[[list[bytes]], bytes],
) -> LabelTable:
    """Sorts pieces of text by key on this machine's disk: memory does not grow with them.

    Args:
        store, folder: the table is written to this folder of the store.
        keys: sorted; a key without a piece has no row.
        size: bytes of all pieces, about.
        pieces: lines in any order.
        whole: joins the pieces of a key, in their order, to its text.
    """
    count = max(1, min(-(-size // _FILE_BYTES), _MOST_FILES, len(keys)))
    bounds = [-(-number * len(keys) // count) for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="styleid-ray-") as local:
        spool = _Spool(local)
        for index, line in pieces:
            spool.add(index * count // len(keys), b"%d %b" % (index, line))
        spool.flush()
        for number in range(count):
            pieces_of: dict[int, list[bytes]] = defaultdict(list)
            for line in spool.lines(number):
                index, _, piece = line.partition(b" ")
                pieces_of[int(index)].append(piece)
            texts = {keys[index]: whole(pieces_of.pop(index)) for index in sorted(pieces_of)}
            table = pa.table([list(texts), list(texts.values())], schema=_SCHEMA)
            with store.writing(_name(folder, number)) as file:
                pq.write_table(table, file, row_group_size=_ROWS_OF_GROUP, compression="zstd")
    return LabelTable(store, folder, tuple(keys[bound] for bound in bounds if len(keys)))


def _name(folder: str, number: int) -> str:
    return f"{folder}/{number:04d}.parquet"


class _Spool:
    """Lines in many local files, with one bound on the memory for all."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.held: dict[int, list[bytes]] = defaultdict(list)
        self.size = 0

    def add(self, number: int, line: bytes) -> None:
        self.held[number].append(line + b"\n")
        self.size += len(line)
        if self.size > _BUFFER:
            self.flush()

    def flush(self) -> None:
        for number, lines in self.held.items():
            with open(os.path.join(self.folder, str(number)), "ab") as file:
                file.writelines(lines)
        self.held.clear()
        self.size = 0

    def lines(self, number: int) -> Iterator[bytes]:
        path = os.path.join(self.folder, str(number))
        if os.path.exists(path):
            with open(path, "rb") as file:
                for line in file:
                    yield line.rstrip(b"\n")
