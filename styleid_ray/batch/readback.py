"""Reading one shard file back, and the pictures in it or beside it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.naming import name_of
from styleid_ray.batch.output import Output, as_ids

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
    """Reads a file of `errors/`."""
    try:
        table = output.read_table(name, ["pair_id"])
        ids = as_ids(table.column("pair_id"))
    except (pa.ArrowException, KeyError) as e:
        return ShardFile(name, damage=str(e))
    return ShardFile(name, ids, _is_misnamed(name, ids, table.schema))


def read_data(output: Output, name: str) -> ShardFile:
    """Reads a file of `data/`, a few rows at a time, and decodes its pictures."""
    ids: list[np.ndarray] = []
    damaged: list[str] = []
    missing: list[str] = []
    beside: list[str] = []
    try:
        with output.open(name) as f:
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
            schema = file.schema_arrow
    except (pa.ArrowException, KeyError, TypeError, OSError) as e:
        return ShardFile(name, damage=str(e) or type(e).__name__)
    found = np.concatenate(ids or [np.empty(0, "S32")])
    return ShardFile(
        name,
        found,
        _is_misnamed(name, found, schema),
        damaged=tuple(damaged),
        missing=tuple(missing),
        beside=tuple(beside),
    )


def _fault(data: bytes, width: int, height: int) -> str:
    """What is wrong with a picture file; empty when nothing is."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            size = image.size
    except Exception as e:  # every decoder has its own
        return f"does not decode ({e})"
    return "" if size == (width, height) else f"is {size[0]} x {size[1]}, not {width} x {height}"


def _is_misnamed(name: str, ids: np.ndarray, schema: pa.Schema) -> bool:
    stem = name.rsplit("/", 1)[-1].removesuffix(".parquet")
    return stem != name_of(ids, schema)
