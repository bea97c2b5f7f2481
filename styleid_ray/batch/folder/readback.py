"""Reads back the files of one finished shard, with the pictures in them or beside them."""

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
OF_A_SHARD = (
    *("missing", "failed", "lost", "unplanned", "doubled"),
    *("damaged_pictures", "missing_pictures"),
)
"""Findings about one shard, described at `Verification.findings`."""


@dataclass
class ShardCheck:
    """The contents of a finished shard, and the faults in it."""

    shard: str
    done: int = 0
    """Pairs with a row."""
    findings: dict[str, list[str]] = field(
        default_factory=lambda: {finding: [] for finding in OF_A_SHARD}
    )
    """Ids of pairs, or names of pictures, by finding."""
    damaged_files: dict[str, str] = field(default_factory=dict)
    """Names of unreadable files, with the reason."""
    beside: list[str] = field(default_factory=list)
    """All pictures beside the shard."""


def check_shard(output: Output, shard: str, planned: np.ndarray, has_errors: bool) -> ShardCheck:
    """Reads the files of a shard, a few rows at a time, and decodes its pictures. `planned` are the
    ids of its pairs; `has_errors` is whether it has a file in `errors/`. Raises OutputError for a
    file that cannot be reached, so that its state is unknown."""
    check, data, errors = ShardCheck(shard), data_file(shard), errors_file(shard)
    try:
        check, ids = output.parsed(data, lambda f: _read_data(output, shard, f))
    except FileNotFoundError:  # removed since it was listed
        check.findings["missing"] = _texts(planned)
        return check
    except pa.ArrowInvalid as e:
        check.damaged_files[data] = str(e)
        return check
    failed = np.empty(0, "S32")
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
    check.done = len(np.intersect1d(done, planned))
    check.findings |= {
        "failed": _texts(np.intersect1d(failed, planned)),
        "unplanned": _texts(np.setdiff1d(both, planned)),
        "doubled": _texts(done[counts > 1]),
    }
    if errors not in check.damaged_files:
        check.findings["lost"] = _texts(np.setdiff1d(planned, both))
    return check


def _texts(ids: np.ndarray) -> list[str]:
    return [i.decode() for i in ids.tolist()]


def _read_data(output: Output, shard: str, f: Any) -> tuple[ShardCheck, np.ndarray]:
    """A check of the pictures alone, and the ids in the file."""
    check, ids = ShardCheck(shard), [np.empty(0, "S32")]
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
                    check.findings["missing_pictures"].append(picture)
                    continue
            if fault := _fault(data, row["width"], row["height"]):
                place = f"{data_file(shard)}: {picture}"
                check.findings["damaged_pictures"].append(f"{place}: {fault}")
    return check, np.concatenate(ids)


def _fault(data: bytes, width: int, height: int) -> str:
    """The fault of a picture file; empty for a sound one."""
    try:
        # A result may be as large as its source, and Pillow's own bound is below --max-pixels.
        with quiet_pillow(width * height), Image.open(io.BytesIO(data)) as image:
            size = image.size
            if size == (width, height):
                image.load()
    except Exception as e:  # every decoder has its own
        return f"does not decode ({e})"
    return "" if size == (width, height) else f"is {size[0]} x {size[1]}, not {width} x {height}"
