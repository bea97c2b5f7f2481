"""Reads back the files of one finished shard, with the pictures in them or beside them."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.output import Output, as_ids, data_file, errors_file
from styleid_ray.imaging.guard import quiet_pillow

_ROWS_AT_ONCE = 16
_COLUMNS = ["pair_id", "image", "width", "height"]


class Finding(NamedTuple):
    """One fault of a shard, or a pair of it without a picture."""

    kind: str
    """Described at `Verification.findings`."""
    text: str
    """The pair, picture or file, and its fault."""
    spoilt: str | None = None
    """The file whose removal makes its pairs missing; None if nothing is damaged."""


@dataclass
class ShardCheck:
    """The contents of a finished shard."""

    done: int = 0
    """Pairs with a row."""
    findings: list[Finding] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    """All pictures beside the shard."""

    def add(self, kind: str, texts: Iterable[str], spoilt: str | None = None) -> None:
        """Adds findings of one kind."""
        self.findings += [Finding(kind, text, spoilt) for text in texts]


def check_shard(output: Output, shard: str, planned: np.ndarray, has_errors: bool) -> ShardCheck:
    """Reads the files of a shard, a few rows at a time, and decodes its pictures. `planned` are the
    ids of its pairs; `has_errors` is whether it has a file in `errors/`. Raises OutputError for a
    file that cannot be reached, so that its state is unknown."""
    data, errors = data_file(shard), errors_file(shard)
    try:
        check, ids = output.parsed(data, lambda f: _read_data(output, data, f))
    except FileNotFoundError:  # removed since it was listed
        return ShardCheck(findings=[Finding("missing", pair) for pair in _texts(planned)])
    except pa.ArrowInvalid as e:
        return damaged(data, str(e))
    failed, known = np.empty(0, "S32"), True
    if has_errors:
        try:
            failed = output.read_ids(errors)
        except FileNotFoundError:  # a retry has removed it
            pass
        except pa.ArrowInvalid as e:
            known = False
            check.findings += damaged(errors, str(e)).findings
    done, counts = np.unique(ids, return_counts=True)
    failed = np.setdiff1d(failed, done)
    both = np.union1d(done, failed)
    check.done = len(np.intersect1d(done, planned))
    check.add("failed", _texts(np.intersect1d(failed, planned)))
    faults = {"unplanned": np.setdiff1d(both, planned), "doubled": done[counts > 1]}
    if known:
        faults["lost"] = np.setdiff1d(planned, both)
    for kind, pairs in faults.items():
        check.add(kind, [f"{pair} in {data}" for pair in _texts(pairs)], data)
    return check


def damaged(file: str, fault: str) -> ShardCheck:
    """The check of a shard with an unreadable file."""
    return ShardCheck(findings=[Finding("damaged_files", f"{file}: {fault}", file)])


def _texts(ids: np.ndarray) -> list[str]:
    return [i.decode() for i in ids.tolist()]


def _read_data(output: Output, name: str, f: Any) -> tuple[ShardCheck, np.ndarray]:
    """A check of the pictures alone, and the ids in the file `name`."""
    check, ids = ShardCheck(), [np.empty(0, "S32")]
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
                    check.add("missing_pictures", [picture], name)
                    continue
            if fault := _fault(data, row["width"], row["height"]):
                check.add("damaged_pictures", [f"{name}: {picture}: {fault}"], name)
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
