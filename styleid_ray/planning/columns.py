"""Arrow columns of keys: dictionary-encoded while a plan is made, plain once it leaves."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.datasets.keys import Keys


def key_column(indices: np.ndarray, keys: Sequence[str | None]) -> pa.DictionaryArray:
    """Keys as an Arrow dictionary array: int indices [P] into the keys."""
    texts = keys.array if isinstance(keys, Keys) else pa.array(keys, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), texts)


def sorted_distinct(keys: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    """The distinct ones of keys [K] in order, and the place of each key among them, int32 [K]."""
    order = pc.array_sort_indices(keys).to_numpy()
    ordered = keys.take(pa.array(order))
    first = np.ones(len(keys), bool)
    first[1:] = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
    places = np.empty(len(keys), np.int32)
    places[order] = np.cumsum(first) - 1
    return ordered.filter(pa.array(first)), places


def codes(column: pa.ChunkedArray) -> np.ndarray:
    """Int codes [P], equal where the column's values are equal."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    return column.combine_chunks().indices.to_numpy() if len(column) else np.zeros(0, np.int32)


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct ones of integers, sorted. `np.unique` hashes them, a hundred times slower."""
    ordered = np.sort(values)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]] if len(ordered) else ordered


def count_distinct(first: np.ndarray, second: np.ndarray | int = 0) -> int:
    """How many distinct (first, second) there are, of non-negative integers [P]."""
    if not len(first):
        return 0
    return len(distinct(first.astype(np.int64) * (int(np.max(second)) + 1) + second))


_KEYS = (
    *("content", "style", "shard", "content_version", "style_version"),
    *("content_place", "style_place", "split"),
)


def plain(table: pa.Table) -> pa.Table:
    """The table with its keys as plain strings: a small slice of a plan must not carry the keys of
    all of it."""
    for name in _KEYS:
        i = table.schema.get_field_index(name)
        if i >= 0 and pa.types.is_dictionary(table.schema.field(i).type):
            table = table.set_column(i, name, table.column(i).cast(pa.string()))
    return table
