"""Arrow columns of keys: dictionary-encoded while a plan is made, plain once it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def key_column(indices: np.ndarray, keys: Sequence[str | None]) -> pa.DictionaryArray:
    """Keys as an Arrow dictionary array: int indices [P] into the keys."""
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int32()), pa.array(keys, pa.string())
    )


def codes(column: pa.ChunkedArray) -> np.ndarray:
    """Int codes [P], equal where the column's values are equal."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    return column.combine_chunks().indices.to_numpy() if len(column) else np.zeros(0, np.int32)


def count_distinct(first: np.ndarray, second: np.ndarray | int = 0) -> int:
    """How many distinct (first, second) there are, of non-negative integers [P]."""
    if not len(first):
        return 0
    both = np.sort(first.astype(np.int64) * (int(np.max(second)) + 1) + second)
    return 1 + int(np.count_nonzero(both[1:] != both[:-1]))


_KEYS = ("content", "style", "shard", "content_version", "style_version")


def plain(table: pa.Table) -> pa.Table:
    """The table with its keys as plain strings: a small slice of a plan must not carry the keys of
    all of it."""
    for name in _KEYS:
        i = table.schema.get_field_index(name)
        if i >= 0 and pa.types.is_dictionary(table.schema.field(i).type):
            table = table.set_column(i, name, table.column(i).cast(pa.string()))
    return table
