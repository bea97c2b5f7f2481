"""Writing Parquet files with pictures and labels in columns, as Hugging Face reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.datasets.example import ORIGIN, Example
from styleid_ray.datasets.features import (
    IMAGE_FEATURE,
    arrow_type,
    in_metadata,
    kind_of,
    stored,
    value_feature,
)
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.parquet.schema import file_of, own_name
from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import shown
from styleid_ray.storage.store import Store

GROUP_ROWS, _GROUP_BYTES = 16, 2**26
"""Most rows of a row group, and bytes of pictures after which one is written."""


class Writer:
    """One file per item of work and split, `data/train-000012.parquet`, or
    `data/shard-000012.parquet` without splits: the picture, its labels, and its origin.

    Every file has the same schema. Pictures among the labels (masks ...) are columns too, taken
    from `Label.files`.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        """Raises ConfigError when a label column cannot be stored."""
        self.store = store
        self.names = {name: own_name(name, labels.features) for name in labels.features}
        self.features = labels.features
        features = {
            "image": IMAGE_FEATURE,
            "width": value_feature("int32"),
            "height": value_feature("int32"),
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
    """A Parquet file that grows row by row; row groups are bounded in rows and bytes."""

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
