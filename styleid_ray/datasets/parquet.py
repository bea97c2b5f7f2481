"""Parquet in and out, as Hugging Face lays datasets out: pictures in a column, labels in others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from styleid_ray.datasets.containers import (
    INDEX,
    Container,
    containers,
    has_no_pictures,
    others,
    source_of,
)
from styleid_ray.datasets.example import ORIGIN, Example
from styleid_ray.datasets.features import (
    IMAGE_FEATURE,
    arrow_type,
    from_metadata,
    in_metadata,
    kind_of,
    stored,
)
from styleid_ray.datasets.files import Files
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.parquet_labels import (
    ParquetLabels,
    column_of_pictures,
    file_of,
    labels,
    own_name,
    read_footer,
)
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.storage.fetch import reason
from styleid_ray.storage.locations import Options, shown
from styleid_ray.storage.store import Store

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

__all__ = ["ParquetLabels", "Writer", "labels", "recognises", "source"]

_PARQUET = r"(?is).*\.parquet(?:\?.*)?\Z"
GROUP_ROWS, _GROUP_BYTES = 16, 2**26
"""Most rows of a row group, and bytes of pictures after which one is written."""


def recognises(files: Files) -> bool:
    """Whether these are Parquet files without pictures beside them."""
    return bool(len(files.matching(_PARQUET).names)) and has_no_pictures(files)


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures of all rows, from the files' footers, which are read where the options say.

    The key of a row is its number in its file. A row without a picture is a failed one at load.
    """
    kind = files.ending(".parquet")
    if not len(kind.names):
        raise options.fault(f"{shown(files.url)} holds no .parquet files; name a folder of them")
    held = containers(kind, options, need_train=False)
    read = partial(_footer, what=options.what, storage_options=options.storage_options)
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
    """What the end of a Parquet file tells."""

    name: str
    schema: pa.Schema
    rows: tuple[int, ...]
    """Of each row group."""


def _footer(file: Container, what: str, storage_options: Options) -> _Footer:
    try:
        metadata = read_footer(file.url, storage_options)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"--{what}: {shown(file.name)} is not a Parquet file that can be read "
            f"({shown(str(error))[:200]}): copy it again, or leave it out"
        ) from error
    except Exception as error:  # each filesystem has its own errors
        raise SourceError(
            f"--{what}: {shown(file.name)} cannot be read ({reason(error, storage_options)}): "
            "check the address, the credentials and the endpoint"
        ) from error
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
            f"({', '.join(kinds)}) or its classes: name files of one schema alone"
        )


def _columns(schema: pa.Schema) -> dict[str, Any]:
    """Type and feature of each column."""
    features = from_metadata(schema)
    return {one.name: (one.type, features.get(one.name)) for one in schema}


def _index(file: Container, footer: _Footer, column: str) -> pa.Table:
    """`INDEX` of a file, made without an object per row."""
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


class Writer:
    """One file per item of work and split, `data/train-000012.parquet`, or `data/shard-000012
    .parquet` where there are no splits: the picture, its labels, and where it comes from.

    Every file has the same schema. Pictures among the labels (masks ...) are columns too, from
    `Label.files`.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        """Raises ConfigError when a label column cannot be stored."""
        self.store = store
        self.names = {name: own_name(name, labels.features) for name in labels.features}
        self.features = labels.features
        features = {
            "image": IMAGE_FEATURE,
            "width": {"dtype": "int32", "_type": "Value"},
            "height": {"dtype": "int32", "_type": "Value"},
            **{self.names[name]: feature for name, feature in labels.features.items()},
            **ORIGIN,
        }
        self.schema = _schema(features)

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes the files of an item, a few rows at a time. The part is empty."""
        with ExitStack() as stack:
            files: dict[str, _Groups] = {}
            for example in examples:
                if example.split not in files:
                    name = f"data/{example.split or 'shard'}-{item:06d}.parquet"
                    file = stack.enter_context(self.store.writing(name))
                    files[example.split] = stack.enter_context(_Groups(file, self.schema))
                files[example.split].add(self._row(example), len(example.picture))
        return b""

    def finish(self, parts: Iterator[bytes]) -> None:
        """Does nothing: no file lists all pictures."""

    def _row(self, example: Example) -> dict[str, Any]:
        label = example.label
        try:
            values = {
                self.names[name]: stored(
                    label.columns.get(name) or file_of(label.files, name)
                    if kind_of(feature) == "Image"
                    else label.columns.get(name),
                    feature,
                )
                for name, feature in self.features.items()
            }
        except ValueError as error:
            raise ConfigError(f"the labels of {shown(example.name)}: {error}") from error
        return {
            "image": {"bytes": example.picture, "path": f"{example.name}{example.extension}"},
            "width": example.width,
            "height": example.height,
            **values,
            **{name: example.origin.get(name) for name in ORIGIN},
        }


class _Groups:
    """A Parquet file that rows are added to; row groups are bounded in rows and bytes."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False)
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def __enter__(self) -> _Groups:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, row: Mapping[str, Any], size: int) -> None:
        """Adds a row with this many bytes of pictures."""
        self._rows.append(dict(row))
        self._bytes += size
        if len(self._rows) == GROUP_ROWS or self._bytes > _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = pa.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table, row_group_size=GROUP_ROWS)
        self._rows, self._bytes = [], 0


def _schema(features: Mapping[str, Any]) -> pa.Schema:
    kinds: list[tuple[str, pa.DataType]] = []
    for name, feature in features.items():
        try:
            kinds.append((name, arrow_type(feature)))
        except (ValueError, KeyError) as error:
            raise ConfigError(
                f"--format parquet cannot store the label column {shown(name)} ({error}): export "
                "as webdataset, which keeps label files as they are"
            ) from error
    return pa.schema(kinds, in_metadata(features))
