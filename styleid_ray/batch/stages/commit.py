"""The commit stage (CPU): encode the pictures and write the shard's files, whole."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.arrow import pc
from styleid_ray.batch.folder.output import PLAN_ONLY, REMADE, Output, data_file, errors_file
from styleid_ray.batch.stages import row_error
from styleid_ray.batch.stages.row_params import PARAMS, params_of_job, params_of_pair
from styleid_ray.batch.stages.shard import QUALITY, Done, Shard
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.config import JobConfig, digest
from styleid_ray.errors import RowError
from styleid_ray.imaging import encode, extension, restore

GROUP_ROWS = 16
"""Maximum rows of a row group. Most readers cannot open a group of more than 2 GiB of pictures, and
the writer holds one group in memory."""
_GROUP_BYTES = 2**26
"""Bytes of pictures after which a group is written, however few its rows."""
_WRITERS = 8
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ERRORS = pa.schema(
    [
        ("pair_id", pa.string()),
        ("content", pa.string()),
        ("style", pa.string()),
        ("k", pa.int32()),
        ("stage", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
    ]
)
_OF_A_PAIR = ("pair_id", "content", "style", "k", "gamma", "temperature")
_OWN = pa.schema(
    [
        ("pair_id", pa.string()),
        ("image", IMAGE),
        ("content", pa.string()),
        ("style", pa.string()),
        ("k", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("params", PARAMS),
        ("seconds", pa.float64()),
        ("quality", QUALITY),
    ]
)
# Tells Hugging Face datasets to read `image` as pictures.
_HF_FEATURES = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})


class Commit:
    """Stylised shards to committed files.

    A shard is finished when its data file exists, whatever else does. The first time, errors are
    written before the data, so that nothing is missing once it is finished; in a retry they are
    written after it, so that a pair whose row is lost in between still counts as failed. A remake
    leaves them as they are. `revision` is the model's, as in `Stylize`.
    """

    def __init__(self, output: Output, config: JobConfig, revision: str | None) -> None:
        self.output = output
        self.config = config
        self.log = StageLog("commit", config)
        self.params = params_of_job(config, revision)

    def commit(self, shard: Shard) -> Done:
        """Writes the pairs into the files of their shards; returns counts, seconds, and the pairs
        that a remake could not make."""
        began = time.perf_counter()
        write = self._remake if shard.remake else self._retry if shard.retry else self._first
        total, start = _Written(), 0
        for name, rows in groupby(shard.pairs["shard"].to_pylist()):
            count = len(list(rows))
            written = write(name, *(t.slice(start, count) for t in (shard.pairs, shard.results)))
            self.log.failures(name, written.failed)
            total.done += written.done
            total.failed += written.failed
            total.size += written.size
            start += count
        measures: dict[str, float] = {
            "done": len(total.done),
            "failed": len(total.failed),
            "commit_seconds": time.perf_counter() - began,
            "bytes_out": total.size,
        }
        names = ("pair_id", "stage", "error", "message")
        failed = tuple({n: row[n] for n in names} for row in total.failed if shard.remake)
        return Done(shard.name, shard.measures | measures, shard.notes, failed=failed)

    def _first(self, name: str, pairs: pa.Table, results: pa.Table) -> _Written:
        with self.output.writing(data_file(name)) as file:
            with _writer(file, _schema(pairs)) as writer:
                written = self._write_rows(writer, pairs, results)
            written.size += file.tell()
            if written.failed:
                self._write_errors(name, written.failed)
        return written

    def _retry(self, name: str, pairs: pa.Table, results: pa.Table) -> _Written:
        """Adds rows for failed pairs to a finished shard. A pair that fails again keeps a row that
        an interrupted attempt left."""
        written = self._rewrite(name, pairs, results)
        if written.failed:
            self._write_errors(name, written.failed)
        else:
            self.output.delete(errors_file(name))
        return written

    def _remake(self, name: str, pairs: pa.Table, results: pa.Table) -> _Written:
        """Replaces rows of a finished shard. A pair that fails now keeps its row.

        A picture beside the file gets a new name, so that the old row keeps its own until the new
        one is in place.
        """
        before = self._beside(name)
        written = self._rewrite(name, pairs, results, remake=True)
        for path in sorted(before - self._beside(name)):
            self.output.delete(path)
        return written

    def _beside(self, name: str) -> set[str]:
        """Paths of a finished shard's pictures beside its file."""
        if self.config.format != "files":
            return set()
        rows = self.output.read_table(data_file(name), ["image"])
        return {row["path"] for row in rows["image"].to_pylist()}

    def _rewrite(
        self, name: str, pairs: pa.Table, results: pa.Table, remake: bool = False
    ) -> _Written:
        """Rewrites a finished shard's file: rows of the good pairs, then all its other rows."""
        data = data_file(name)
        if results["pixels"].null_count == results.num_rows:
            rows = zip(pairs.select(_OF_A_PAIR).to_pylist(), results.to_pylist(), strict=True)
            return _Written(failed=[pair | result for pair, result in rows])
        schema = self.output.parsed(data, pq.read_schema)
        metadata = schema.metadata or {}
        if remake:
            made = digest([self.params, pairs["pair_id"].to_pylist()])
            metadata = {**metadata, REMADE: metadata.get(REMADE, b"") + made.encode()}
        with self.output.writing(data) as file:
            with _writer(file, schema.with_metadata(metadata)) as writer:
                written = self._write_rows(writer, pairs, results, remake)
                for table in self.output.row_groups(data):
                    _append(writer, table.filter(~pc.field("pair_id").isin(written.done)))
            written.size += file.tell()
        return written

    def _write_rows(
        self, writer: pq.ParquetWriter, pairs: pa.Table, results: pa.Table, remake: bool = False
    ) -> _Written:
        written, encoded = _Written(), partial(self._encoded, remake)
        with ThreadPoolExecutor(_WRITERS) as pool:
            # Pictures inside the file are encoded one by one: a pool would hold them all.
            each = pool.map if self.config.format == "files" else map
            for start in range(0, pairs.num_rows, GROUP_ROWS):
                chunk, pictures = (t.slice(start, GROUP_ROWS) for t in (pairs, results))
                columns = chunk.select(_OF_A_PAIR).to_pylist(), pictures.to_pylist()
                group, size = dict[int, dict[str, Any]](), 0
                for at, row in enumerate(each(encoded, *columns)):
                    if "stage" in row:
                        written.failed.append(row)
                        continue
                    group[at] = row
                    size += len(row["image"]["bytes"] or b"")
                    written.done.append(row["pair_id"])
                    written.size += row.pop("size")
                    if size > _GROUP_BYTES:
                        _append(writer, _table(group, chunk))
                        group, size = {}, 0
                _append(writer, _table(group, chunk))
        return written

    def _write_errors(self, name: str, failed: list[dict[str, Any]]) -> None:
        rows = [{column: row[column] for column in ERRORS.names} for row in failed]
        self.output.write_table(errors_file(name), pa.Table.from_pylist(rows, schema=ERRORS))

    def _encoded(
        self, remake: bool, pair: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """A row of the dataset with the `size` of its file beside it, or of the errors."""
        if result["pixels"] is None:
            return pair | result
        config, beside = self.config, self.config.format == "files"
        try:
            image = Image.frombytes("RGB", (result["width"], result["height"]), result["pixels"])
            image = restore(image, result["source_width"], result["source_height"], config.fit)
            data = encode(image, config.picture_format, config.quality)
        except RowError as e:
            return pair | row_error.columns(e)
        params, suffix = params_of_pair(self.params, pair), extension(config.picture_format)
        if remake and beside:
            suffix = f"-{digest(params)[:8]}{suffix}"
        path = _picture_name(pair, suffix)
        if beside:
            path = f"images/{path}"
            self.output.write(path, data)
        return {
            "pair_id": pair["pair_id"],
            "image": {"bytes": None if beside else data, "path": path},
            "content": pair["content"],
            "style": pair["style"],
            "k": pair["k"],
            "width": image.width,
            "height": image.height,
            "params": params,
            "seconds": result["seconds"],
            "quality": result["quality"],
            "size": len(data) if beside else 0,
        }


@dataclass
class _Written:
    done: list[str] = field(default_factory=list)
    """Ids of those with a picture."""
    failed: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    """Bytes."""


def _writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False)


def _append(writer: pq.ParquetWriter, table: pa.Table) -> None:
    if table.num_rows:
        writer.write_table(table.cast(writer.schema), row_group_size=GROUP_ROWS)


def _schema(pairs: pa.Table) -> pa.Schema:
    passed = [pairs.schema.field(name) for name in _passed_through(pairs)]
    return pa.schema([*_OWN, *passed], {"huggingface": _HF_FEATURES})


def _table(rows: dict[int, dict[str, Any]], pairs: pa.Table) -> pa.Table:
    """Rows of the dataset, by the numbers of their pairs, with the columns passed through."""
    table = pa.Table.from_pylist(list(rows.values()), schema=_OWN)
    passed = pairs.select(_passed_through(pairs)).take(pa.array(list(rows), pa.int64()))
    for name, column in zip(passed.schema, passed.columns, strict=True):
        table = table.append_column(name, column)
    return table


def _passed_through(pairs: pa.Table) -> list[str]:
    """Columns that came with the pairing table."""
    return [name for name in pairs.column_names if name not in PLAN_ONLY]


def _picture_name(pair: dict[str, Any], suffix: str) -> str:
    """A file name that tells the pair to a person and is unique through the id."""
    stems = (
        re.sub(r"[^\w-]+", "_", pair[role].rsplit("/", 1)[-1].rsplit(".", 1)[0])
        for role in ("content", "style")
    )
    short = (stem.encode()[:48].decode(errors="ignore") for stem in stems)
    return "__".join([*short, pair["pair_id"][:16]]) + suffix
