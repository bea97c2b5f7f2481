"""Reading the files of one finished shard back, and the pictures in them or beside them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.output import Output, as_ids, data_file, errors_file
from styleid_ray.imaging.guard import quiet_pillow

_ROWS_AT_ONCE = 16
_COLUMNS = ["pair_id", "image", "width", "height"]


@dataclass
class ShardCheck:
    """What a finished shard holds, and what is wrong with it. Pairs are named by their ids."""

    shard: str
    done: int = 0
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """All its pairs, where the data file has gone since it was listed."""
    lost: list[str] = field(default_factory=list)
    """Neither in `data/` nor in `errors/`."""
    doubled: list[str] = field(default_factory=list)
    unplanned: list[str] = field(default_factory=list)
    """In its files, and not of the shard."""
    damaged_files: dict[str, str] = field(default_factory=dict)
    """Names of files that cannot be read, and why."""
    damaged_pictures: list[str] = field(default_factory=list)
    missing_pictures: list[str] = field(default_factory=list)
    """Pictures beside the shard that are not there."""
    beside: list[str] = field(default_factory=list)
    """All pictures beside the shard."""


def check_shard(output: Output, shard: str, planned: np.ndarray, has_errors: bool) -> ShardCheck:
    """Reads the files of a shard, a few rows at a time, and decodes its pictures.

    Args:
        output: of the run.
        shard: its name.
        planned: ids of its pairs, [P].
        has_errors: whether it has a file in `errors/`.

    Raises:
        OutputError: a file cannot be reached, so that nothing is known of it.
    """
    check, data, errors = ShardCheck(shard), data_file(shard), errors_file(shard)
    failed = np.empty(0, "S32")
    try:
        check, ids = output.parsed(data, lambda f: _read_data(output, data, f, ShardCheck(shard)))
    except FileNotFoundError:
        check.missing = _texts(planned)
        return check
    except pa.ArrowInvalid as e:
        check.damaged_files[data] = str(e)
        return check
    if has_errors:
        try:
            failed = output.read_ids(errors)
        except FileNotFoundError:  # a retry has removed it
            pass
        except pa.ArrowInvalid as e:
            check.damaged_files[errors] = str(e)
    done, counts = np.unique(ids, return_counts=True)
    failed = np.setdiff1d(failed, done)
    both = np.union1d(done, failed)
    check.doubled = _texts(done[counts > 1])
    check.unplanned = _texts(np.setdiff1d(both, planned))
    check.done = len(np.intersect1d(done, planned))
    check.failed = _texts(np.intersect1d(failed, planned))
    if errors not in check.damaged_files:
        check.lost = _texts(np.setdiff1d(planned, both))
    return check


def _texts(ids: np.ndarray) -> list[str]:
    return [i.decode() for i in ids.tolist()]


def _read_data(
    output: Output, name: str, f: Any, check: ShardCheck
) -> tuple[ShardCheck, np.ndarray]:
    """The check with its pictures looked at, and the ids in the file."""
    ids = [np.empty(0, "S32")]
    for batch in pq.ParquetFile(f).iter_batches(_ROWS_AT_ONCE, columns=_COLUMNS):
        table = pa.Table.from_batches([batch])
        ids.append(as_ids(table.column("pair_id")))
        for row in table.to_pylist():
            picture, data = row["image"]["path"], row["image"]["bytes"]
            if data is None:
                check.beside.append(picture)
                try:
                    data = output.read(picture)
                except FileNotFoundError:
                    check.missing_pictures.append(picture)
                    continue
            fault = _fault(data, row["width"], row["height"])
            if fault:
                check.damaged_pictures.append(f"{name}: {picture}: {fault}")
    return check, np.concatenate(ids)


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
