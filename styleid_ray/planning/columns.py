"""Arrow columns of keys: dictionary-encoded while a plan is made, plain once it leaves."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.keys import Keys

STYLE_COLUMNS = tuple(f"style{number}" for number in range(2, 10))
"""Columns of a table that name further styles of a pair."""
_KEYS = (
    *(
        name + suffix
        for name in ("content", "style", *STYLE_COLUMNS)
        for suffix in ("", "_version", "_place")
    ),
    *("shard", "split"),
)
"""Columns of a plan that are dictionaries while it is made."""


def key_column(indices: np.ndarray, keys: Sequence[str | None]) -> pa.DictionaryArray:
    """An Arrow dictionary array [P] of keys, by int indices [P] into the keys."""
    texts = keys.array if isinstance(keys, Keys) else pa.array(keys, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), texts)


def sorted_distinct(keys: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    """The distinct keys of [K] in order, and the place of each key among them, int32 [K]."""
    distinct = keys.unique()
    distinct = distinct.take(pc.array_sort_indices(distinct))
    return distinct, pc.index_in(keys, distinct).to_numpy()


def dictionaries(table: pa.Table, names: Sequence[str]) -> pa.StringArray:
    """The keys in these columns' dictionaries, one after the other."""
    return pa.concat_arrays([table[name].combine_chunks().dictionary for name in names])


def with_dictionary(
    table: pa.Table, names: Sequence[str], keys: pa.StringArray, places: np.ndarray
) -> pa.Table:
    """The table with these columns over one dictionary, `keys`.

    Args:
        places: place among the keys of each entry of the columns' `dictionaries`, int32.
    """
    for name in names:
        column = table[name].combine_chunks()
        own, places = np.split(places, [len(column.dictionary)])
        index = pa.array(own).take(column.indices)
        i = table.schema.get_field_index(name)
        table = table.set_column(i, name, pa.DictionaryArray.from_arrays(index, keys))
    return table


def codes(column: pa.ChunkedArray) -> np.ndarray:
    """Int codes [P], equal where the column's values are equal."""
    column = _encoded(column).unify_dictionaries()
    return column.combine_chunks().indices.to_numpy() if len(column) else np.zeros(0, np.int32)


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct integers, sorted. `np.unique` hashes them, which is a hundred times slower."""
    ordered = np.sort(values)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]] if len(ordered) else ordered


def count_distinct(first: np.ndarray, second: np.ndarray | int = 0) -> int:
    """The number of distinct (first, second), non-negative integers [P]."""
    if not len(first):
        return 0
    return len(distinct(first.astype(np.int64) * (int(np.max(second)) + 1) + second))


def style_columns(table: pa.Table) -> list[str]:
    """The columns that name styles, in a table of pairs before it is a plan."""
    return ["style", *(name for name in STYLE_COLUMNS if name in table.column_names)]


def further_styles(names: Sequence[str]) -> list[str]:
    """A plan's columns that name further styles. A column of such a name without a version was
    passed through from a table of pairs."""
    return [name for name in STYLE_COLUMNS if name in names and f"{name}_version" in names]


def all_styles(table: pa.Table, further: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The styles of pairs: rows [S] and codes [S] as of `codes`, one per style of a row.

    Args:
        table: columns style and `further`, which may hold nulls.
    """
    if not further:
        return np.arange(table.num_rows), codes(table["style"])
    columns = [_encoded(table[name]) for name in ("style", *further)]
    whole = pa.chunked_array([chunk for column in columns for chunk in column.chunks])
    given = pc.is_valid(whole).to_numpy()
    rows = np.tile(np.arange(table.num_rows), len(columns))[given]
    return rows, codes(whole.drop_null())


def combinations(table: pa.Table, further: Sequence[str]) -> np.ndarray:
    """Codes [P] of pairs, equal where all their styles are equal."""
    combined = codes(table["style"])
    for name in further:
        other = codes(table[name].cast(pa.string()).fill_null(""))
        both = combined.astype(np.int64) * (int(other.max(initial=0)) + 1) + other
        combined = np.unique(both, return_inverse=True)[1]
    return combined


def plain(table: pa.Table) -> pa.Table:
    """The table with its keys as plain strings: a small slice of a plan must not carry all keys of
    the plan."""
    for name in _KEYS:
        i = table.schema.get_field_index(name)
        if i >= 0 and pa.types.is_dictionary(table.schema.field(i).type):
            table = table.set_column(i, name, table.column(i).cast(pa.string()))
    return table
