"""Reading one shard file back, and the pictures in it or beside it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.naming import name_of
from styleid_ray.batch.folder.output import Output, as_ids
from styleid_ray.imaging.guard import quiet_pillow

_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class ShardFile:
    """What one shard file holds, and what is wrong with it."""

    name: str
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, "S32"))
    misnamed: bool = False
    damage: str = ""
    """Why it cannot be read; empty when it can."""
    damaged: tuple[str, ...] = ()
    """Pictures that do not decode, or not at their size."""
    missing: tuple[str, ...] = ()
    """Pictures beside the shard that are not there."""
    beside: tuple[str, ...] = ()
    """All pictures beside the shard."""


def read_errors(output: Output, name: str) -> ShardFile:
    """Reads a file of `errors/`.

    Raises:
        OutputError: it cannot be reached, so that nothing can be said of it.
    """
    return _told(output, name, lambda f: _read_errors(name, f))


def read_data(output: Output, name: str) -> ShardFile:
    """Reads a file of `data/`, a few rows at a time, and decodes its pictures.

    Raises:
        OutputError: it cannot be reached, so that nothing can be said of it.
    """
    return _told(output, name, lambda f: _read_data(output, name, f))


def _told(output: Output, name: str, read: Callable[[Any], ShardFile]) -> ShardFile:
    try:
        return output.parsed(name, read)
    except FileNotFoundError:  # taken away since it was listed: it was tidied up
        return ShardFile(name)
    except pa.ArrowInvalid as e:
        return ShardFile(name, damage=str(e))


def _read_errors(name: str, f: Any) -> ShardFile:
    table = pq.read_table(f, columns=["pair_id"])
    ids = as_ids(table.column("pair_id"))
    return ShardFile(name, ids, _is_misnamed(name, ids, table.schema))


def _read_data(output: Output, name: str, f: Any) -> ShardFile:
    ids: list[np.ndarray] = []
    damaged: list[str] = []
    missing: list[str] = []
    beside: list[str] = []
    file = pq.ParquetFile(f)
    columns = ["pair_id", "image", "width", "height"]
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
        table = pa.Table.from_batches([batch])
        ids.append(as_ids(table.column("pair_id")))
        for row in table.to_pylist():
            picture, data = row["image"]["path"], row["image"]["bytes"]
            if data is None:
                beside.append(picture)
                try:
                    data = output.read(picture)
                except FileNotFoundError:
                    missing.append(picture)
                    continue
            fault = _fault(data, row["width"], row["height"])
            if fault:
                damaged.append(f"{name}: {picture}: {fault}")
    found = np.concatenate(ids or [np.empty(0, "S32")])
    return ShardFile(
        name,
        found,
        _is_misnamed(name, found, file.schema_arrow),
        damaged=tuple(damaged),
        missing=tuple(missing),
        beside=tuple(beside),
    )


def _fault(data: bytes, width: int, height: int) -> str:
    """What is wrong with a picture file; empty when nothing is."""
    try:
        # A result may be as large as its source: Pillow's own bound is below --max-pixels.
        with quiet_pillow(width * height), Image.open(io.BytesIO(data)) as image:
            size = image.size
            if size == (width, height):
                image.load()
    except Exception as e:  # every decoder has its own
        return f"does not decode ({e})"
    return "" if size == (width, height) else f"is {size[0]} x {size[1]}, not {width} x {height}"


def _is_misnamed(name: str, ids: np.ndarray, schema: pa.Schema) -> bool:
    stem = name.rsplit("/", 1)[-1].removesuffix(".parquet")
    return stem != name_of(ids, schema)
