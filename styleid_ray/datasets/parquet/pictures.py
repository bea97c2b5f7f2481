"""The pictures of Parquet files, one per row."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.containers import (
    INDEX,
    Container,
    containers,
    has_no_pictures,
    others,
    source_of,
)
from styleid_ray.datasets.features import from_metadata
from styleid_ray.datasets.files import Files
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.parquet.schema import column_of_pictures, read_footer
from styleid_ray.datasets.source import Source
from styleid_ray.storage.locations import shown

_PARQUET = r"(?is).*\.parquet(?:\?.*)?\Z"


def recognises(files: Files) -> bool:
    """Whether these are Parquet files without pictures beside them."""
    return bool(files.matching(_PARQUET).names) and has_no_pictures(files)


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures of all rows, from the files' footers, which `options.spread` reads.

    The key of a row is its number in its file. A row without a picture fails when it is loaded.
    """
    kind = files.ending(".parquet")
    if not kind.names:
        raise options.fault(f"{shown(files.url)} holds no .parquet files; name a folder of them")
    held = containers(kind, options, need_train=False)
    read = partial(_footer, options=replace(options, spread=in_threads))
    footers = {one.name: one for one in options.spread(read, held)}
    first = footers[held[0].name]
    column = column_of_pictures(first.schema)
    if column is None:
        raise options.fault(
            f"{shown(first.name)} has no column of pictures among "
            f"{shown(', '.join(first.schema.names))[:300]}: one must be an Image feature, a struct "
            "of bytes and path, or binary and named image"
        )
    for footer in footers.values():
        _check_same(first, footer, options)
    if not any(sum(footer.rows) for footer in footers.values()):
        raise options.fault(f"{shown(files.url)}: its Parquet files have no rows")
    indices = (_index(one, footers[one.name], column) for one in held)
    return source_of(files, held, options, indices, others(files, kind))


@dataclass(frozen=True)
class _Footer:
    """The footer of a Parquet file."""

    name: str
    schema: pa.Schema
    rows: tuple[int, ...]
    """Rows of each row group."""


def _footer(file: Container, options: DatasetOptions) -> _Footer:
    try:
        metadata = read_footer(file.url, options.storage_options)
    except pa.ArrowInvalid as error:
        raise options.fault(
            f"{shown(file.name)} is not a readable Parquet file ({shown(str(error))[:200]}): copy "
            "it again, or leave it out"
        ) from error
    except Exception as error:  # each filesystem has its own errors
        raise options.unreadable(file.name, error) from error
    groups = range(metadata.num_row_groups)
    rows = tuple(metadata.row_group(group).num_rows for group in groups)
    return _Footer(file.name, metadata.schema.to_arrow_schema(), rows)


def _check_same(first: _Footer, other: _Footer, options: DatasetOptions) -> None:
    """Raises SourceError when a file's columns differ from those of the first."""
    a, b = _columns(first.schema), _columns(other.schema)
    differing = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    if differing:
        name = differing[0]
        kinds = (str(columns.get(name, ("none",))[0]) for columns in (b, a))
        raise options.fault(
            f"{shown(other.name)} and {shown(first.name)} differ in the column {shown(name)} "
            f"({', '.join(kinds)}) or its classes: name only files of one schema"
        )


def _columns(schema: pa.Schema) -> dict[str, Any]:
    """Type and feature of each column."""
    features = from_metadata(schema)
    return {one.name: (one.type, features.get(one.name)) for one in schema}


def _index(file: Container, footer: _Footer, column: str) -> pa.Table:
    """`INDEX` of a file, without a Python object per row."""
    counts = np.array(footer.rows, np.int64)
    count = int(counts.sum())
    rows = np.arange(count)
    within = rows - np.repeat(np.cumsum(counts) - counts, counts)
    groups = np.repeat(np.arange(len(counts)), counts)
    number, group, row = (pa.array(some).cast(pa.string()) for some in (rows, groups, within))
    number = pc.utf8_lpad(number, len(str(max(count - 1, 0))), "0")
    version = file.version_of((file.size or 0) // max(count, 1))
    columns = [
        pc.binary_join_element_wise(pa.scalar(file.name), number, "/"),
        pc.binary_join_element_wise(pc.binary_join_element_wise(group, row, "/"), column, " "),
        pa.repeat(version if file.size else "", count),
        pa.repeat(file.split, count),
    ]
    return pa.table(columns, schema=INDEX)
