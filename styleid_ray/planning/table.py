"""Tables of pairs: CSV, JSONL or Parquet, read and checked."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from styleid_ray.arrow import pc
from styleid_ray.config import StyleParams
from styleid_ray.errors import SourceError
from styleid_ray.planning.columns import STYLE_COLUMNS, codes, count_distinct, style_columns
from styleid_ray.planning.table_files import (
    as_type,
    check_columns,
    check_none,
    is_text,
    read_file,
    without_dot,
)
from styleid_ray.storage.locations import Options, shown

RESERVED = frozenset(
    {f"{name}_{of}" for name in STYLE_COLUMNS for of in ("version", "place")}
    | {"pair_id", "image", "content", "style", "k", "width", "height", "params", "shard", "model"}
    | {"seconds", "stage", "error", "message", "content_version", "style_version"}
    | {"content_place", "style_place", "content_mask", "original", "quality", "rejected"}
)
"""Columns of the output, whose names no column of a table may have."""

PARAMETERS = {
    "content": pa.string(),
    "style": pa.string(),
    "k": pa.int32(),
    "gamma": pa.float64(),
    "temperature": pa.float64(),
}
"""The columns of a table that describe a pair, and their types."""
_FURTHER = dict.fromkeys(STYLE_COLUMNS, pa.string())
_TYPES = PARAMETERS | _FURTHER | {"weight": pa.float64()}


def read_table(url: str, storage_options: Options = None) -> pa.Table:
    """Read a table of pairs.

    Returns:
        Columns content, style (dictionaries of strings), k (int32, 0 by default), gamma and
        temperature (float64, null for the job's own value), then all others unchanged; among them
        style2 and so on as dictionaries, null in rows without such a style, and their weight
        (float64).

    Raises:
        SourceError: the table cannot be read, or a row or column is not valid.
    """
    where = f"--table {shown(url)}"
    table = read_file(url, "table", PARAMETERS | _FURTHER, storage_options, mappings=True)
    if not table.num_rows and table.num_columns:
        raise SourceError(f"{where} has no rows")
    _check_columns(table, where)
    values = {name: _typed(table, name, where) for name in PARAMETERS}
    for name in ("content", "style"):
        column = values[name]
        blank = pc.or_kleene(pc.is_null(column), pc.equal(pc.utf8_trim_whitespace(column), ""))
        check_none(blank, where, f"{name} is empty")
        values[name] = without_dot(column).dictionary_encode().unify_dictionaries()
    for name in ("gamma", "temperature"):
        _check_range(values[name], name, where)
    check_none(pc.less(values["k"], 0), where, "k is negative; count from 0")
    rest = {name: table[name] for name in table.column_names if name not in PARAMETERS}
    if further := [name for name in STYLE_COLUMNS if name in rest]:
        rest |= {name: _further(table, name, where) for name in further}
        rest |= {name: _typed(table, name, where) for name in ("weight",) if name in rest}
    for name, column in rest.items():
        _check_storable(column, name, where)
    if "split" in rest:
        rest["split"] = _checked_splits(values["content"], rest["split"], where)
    checked = pa.table({**values, **rest}).combine_chunks()
    check_unique(checked, url)
    return checked


def _check_columns(table: pa.Table, where: str) -> None:
    check_columns(table, ("content", "style"), where)
    taken = [n for n in table.column_names if n in RESERVED and n not in PARAMETERS]
    if taken:
        raise SourceError(
            f"{where}: the output has a column {', '.join(taken)} of its own; "
            "rename it in the table"
        )


def _typed(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name in table.column_names:
        column = as_type(table, name, _TYPES[name], where)
    else:
        column = pa.chunked_array([pa.nulls(table.num_rows, _TYPES[name])])
    return column.fill_null(0) if name == "k" else column


def _further(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if pa.types.is_null(table[name].type):
        return pa.chunked_array([pa.nulls(table.num_rows, pa.string()).dictionary_encode()])
    column = _typed(table, name, where)
    blank = pc.equal(pc.utf8_trim_whitespace(column), "")
    column = pc.if_else(blank, pa.scalar(None, pa.string()), column)
    return without_dot(column).dictionary_encode().unify_dictionaries()


def _check_storable(column: pa.ChunkedArray, name: str, where: str) -> None:
    """Raises SourceError for a column that is damaged or of a type that Parquet lacks."""
    try:
        column.validate(full=True)
        pq.write_table(pa.table({name: column[:0]}), pa.BufferOutputStream())
    except pa.ArrowException as error:
        raise SourceError(
            f"{where}: column {shown(name)} cannot be passed through; drop it: "
            f"{shown(str(error))[:200]}"
        ) from error


def _checked_splits(contents: pa.ChunkedArray, column: pa.ChunkedArray, where: str) -> Any:
    """A column of splits, checked to hold a word per row and one split per content: exports use
    the words as folder names."""
    where = f"{where}: column split"
    if not is_text(column.type):
        raise SourceError(f"{where} must hold words such as train; rename it if it is no split")
    column = column.cast(pa.string())
    bad = pc.invert(pc.match_substring_regex(column, r"\A[\w-]{1,64}\z").fill_null(False))
    check_none(bad, where, "must be a word such as train or val")
    if count_distinct(codes(contents), codes(column)) > count_distinct(codes(contents)):
        raise SourceError(f"{where} puts a content into two splits: give each one split")
    return column


def _check_range(column: pa.ChunkedArray, name: str, where: str) -> None:
    values = column.to_numpy()
    given = np.flatnonzero(pc.is_valid(column).to_numpy())
    if not len(given):
        return
    # The range is an interval: if both ends pass, all values between them do. NaN sorts last.
    order = np.argsort(values[given], kind="stable")
    for row in sorted({int(given[order[0]]), int(given[order[-1]])}):
        try:
            StyleParams.model_validate({name: float(values[row])})
        except ValidationError as error:
            raise SourceError(
                f"{where}: row {row + 1}: {name} {values[row]:g}: {error.errors()[0]['msg']}"
            ) from error


def check_unique(table: pa.Table, url: str, remedy: str = "") -> None:
    """Raises SourceError when a table has a pair more than once."""
    if count_distinct(codes(table["content"]), codes(table["style"])) == table.num_rows:
        return
    _, *further = style_columns(table)
    weight = ["weight"] if further and "weight" in table.column_names else []
    names = [*PARAMETERS, *further, *weight]
    rows = table.select(names).append_column("row", pa.array(np.arange(1, table.num_rows + 1)))
    groups = rows.group_by(names).aggregate([("row", "count"), ("row", "min"), ("row", "max")])
    twice = groups.filter(pc.greater(groups["row_count"], 1)).sort_by("row_min")
    if twice.num_rows:
        first = zip(twice["row_min"][:3].to_pylist(), twice["row_max"][:3].to_pylist(), strict=True)
        which = ", ".join(f"rows {a} and {b}" for a, b in first)
        raise SourceError(
            f"--table {shown(url)} has the same pair more than once: {which}"
            f"{f' and {twice.num_rows - 3} more' if twice.num_rows > 3 else ''}; "
            f"{remedy or 'drop the copies, or give them different gamma or temperature'}"
        )
