"""The commit stage (CPU): encode the pictures and write the shard's files, whole."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.output import PLAN_ONLY, Output, data_file, errors_file
from styleid_ray.batch.stages import row_error
from styleid_ray.batch.stages.row_params import PARAMS, RowParams
from styleid_ray.batch.stages.schema import REMADE, conformed, joined
from styleid_ray.batch.stages.shard import QUALITY, Done, Shard, each_shard
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.config import JobConfig, digest
from styleid_ray.errors import RowError
from styleid_ray.imaging import encode, extension, restore

GROUP_ROWS = 16
"""Most rows of a row group. Most readers cannot open a group of more than 2 GiB of pictures, and
the writer holds one group."""
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
        ("params", PARAMS),  # and the controls that the run uses
        ("seconds", pa.float64()),
        ("quality", QUALITY),
    ]
)
# What Hugging Face datasets looks for to read `image` as pictures.
_HF_FEATURES = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})


class Commit:
    """Stylised shards to committed files. The rows that come out report the counts.

    A shard is finished when its data file is there, whatever else is. The first time its errors are
    written before, so that nothing is missing once it is finished; in a retry they are written
    after the data, so that a pair whose row is lost in between still counts as failed. Pairs that
    are made anew leave them as they are.

    Args:
        output: where to write.
        config: the job; picture format, sizes and parameters are taken from it.
        revision: that of the model, as `Stylize` takes it.
    """

    def __init__(self, output: Output, config: JobConfig, revision: str | None) -> None:
        self.output = output
        self.config = config
        self.log = StageLog("commit", config)
        self.params = RowParams.of(config, revision)
        params = pa.field("params", self.params.type)
        self.schema = _OWN.set(_OWN.get_field_index("params"), params)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        return each_shard(block, self.log.of(self.commit))

    def commit(self, shard: Shard) -> Done:
        """Writes the pairs into the files of their shards; returns counts and seconds, and which of
        those that were to be made anew could not be."""
        began = time.perf_counter()
        total = _Written()
        start = 0
        for name, rows in groupby(shard.pairs["shard"].to_pylist()):
            count = len(list(rows))
            pairs, results = (t.slice(start, count) for t in (shard.pairs, shard.results))
            if shard.remake:
                one = self._remake(name, pairs, results)
            elif shard.retry:
                one = self._retry(name, pairs, results)
            else:
                one = self._first(name, pairs, results)
            self.log.failures(name, one.failed)
            total.add(one)
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
            with self._writer(file, self._schema(pairs)) as writer:
                written = self._write_rows(writer, pairs, results)
            written.size += file.tell()
            if written.failed:
                self._write_errors(name, written.failed)
        return written

    def _retry(self, name: str, pairs: pa.Table, results: pa.Table) -> _Written:
        """A finished shard gets rows for its pairs that failed; where a pair fails again, it keeps
        the row it may have of an attempt that was cut off."""
        written = self._rewrite(name, pairs, results)
        if written.failed:
            self._write_errors(name, written.failed)
        else:
            self.output.delete(errors_file(name))
        return written

    def _remake(self, name: str, pairs: pa.Table, results: pa.Table) -> _Written:
        """A finished shard gets new rows in place of those of some pairs; where a pair fails now,
        it keeps the row that it has.

        A picture beside the file gets a new name, so that the old row keeps its own until the new
        one is in place.
        """
        before: set[str] = set()
        if self.config.format == "files":
            rows = self.output.read_table(data_file(name), ["pair_id", "image"])
            rows = rows.filter(pc.field("pair_id").isin(pairs["pair_id"].to_pylist()))
            before = {row["path"] for row in rows["image"].to_pylist()}
        written = self._rewrite(name, pairs, results, remake=True)
        if before:
            rows = self.output.read_table(data_file(name), ["image"])
            for path in sorted(before - {row["path"] for row in rows["image"].to_pylist()}):
                self.output.delete(path)
        return written

    def _rewrite(
        self, name: str, pairs: pa.Table, results: pa.Table, remake: bool = False
    ) -> _Written:
        """Writes a finished shard's file again: rows of the good pairs, then all others of its."""
        data = data_file(name)
        if results["pixels"].null_count == results.num_rows:
            rows = zip(pairs.select(_OF_A_PAIR).to_pylist(), results.to_pylist(), strict=True)
            return _Written(failed=[pair | result for pair, result in rows])
        before = self.output.parsed(data, pq.read_schema)
        schema = joined(self._schema(pairs), before)
        remade = (before.metadata or {}).get(REMADE, b"")
        if remake:
            made = [remade.decode(), self.params.values, pairs["pair_id"].to_pylist()]
            remade = digest(made).encode()
        if remade:
            schema = schema.with_metadata({**(schema.metadata or {}), REMADE: remade})
        with self.output.writing(data) as file:
            with self._writer(file, schema) as writer:
                written = self._write_rows(writer, pairs, results, remake)
                for table in self.output.row_groups(data):
                    _append(writer, table.filter(~pc.field("pair_id").isin(written.done)))
            written.size += file.tell()
        return written

    def _write_rows(
        self, writer: pq.ParquetWriter, pairs: pa.Table, results: pa.Table, remake: bool = False
    ) -> _Written:
        """Encodes and writes the good pairs, a row group at a time."""
        written, beside = _Written(), self.config.format == "files"
        with ThreadPoolExecutor(_WRITERS) as pool:
            for start in range(0, pairs.num_rows, GROUP_ROWS):
                some, made = (t.slice(start, GROUP_ROWS) for t in (pairs, results))
                both = some.select(_OF_A_PAIR).to_pylist(), made.to_pylist()
                group, size = dict[int, dict[str, Any]](), 0
                # Pictures inside the file are encoded one by one: a pool would hold them all.
                encoded = partial(self._encoded, remake)
                for at, row in enumerate((pool.map if beside else map)(encoded, *both)):
                    if "stage" in row:
                        written.failed.append(row)
                        continue
                    group[at] = row
                    size += len(row["image"]["bytes"] or b"")
                    written.done.append(row["pair_id"])
                    written.size += row.pop("size")
                    if size > _GROUP_BYTES:
                        _append(writer, self._table(group, some))
                        group, size = {}, 0
                _append(writer, self._table(group, some))
        return written

    def _write_errors(self, name: str, failed: list[dict[str, Any]]) -> None:
        rows = [{column: row[column] for column in ERRORS.names} for row in failed]
        self.output.write_table(errors_file(name), pa.Table.from_pylist(rows, schema=ERRORS))

    def _schema(self, pairs: pa.Table) -> pa.Schema:
        """The dataset's columns: a table's own `quality`, of a plan without the column, has its
        place."""
        passed = [pairs.schema.field(name) for name in _passed_through(pairs)]
        own = [field for field in self.schema if field.name not in {one.name for one in passed}]
        return pa.schema([*own, *passed], {"huggingface": _HF_FEATURES})

    def _writer(self, file: Any, schema: pa.Schema) -> pq.ParquetWriter:
        return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False)

    def _table(self, rows: dict[int, dict[str, Any]], pairs: pa.Table) -> pa.Table:
        """Rows of the dataset, given by the numbers of their pairs, with the columns passed
        through."""
        passed = _passed_through(pairs)
        own = pa.schema([field for field in self.schema if field.name not in passed])
        table = pa.Table.from_pylist(list(rows.values()), schema=own)
        taken = pairs.take(pa.array(list(rows), pa.int64()))
        for name in passed:
            table = table.append_column(taken.schema.field(name), taken[name])
        return table

    def _encoded(
        self, remake: bool, pair: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        if result["pixels"] is None:
            return pair | result
        try:
            return self._row(pair, result, remake)
        except RowError as e:
            return pair | row_error.columns(e)

    def _row(self, pair: dict[str, Any], result: dict[str, Any], remake: bool) -> dict[str, Any]:
        image = Image.frombytes("RGB", (result["width"], result["height"]), result["pixels"])
        image = restore(image, result["source_width"], result["source_height"], self.config.fit)
        data = encode(image, self.config.picture_format, self.config.quality)
        params, beside = self.params.of_pair(pair), self.config.format == "files"
        suffix = extension(self.config.picture_format)
        if remake and beside:
            suffix = f"-{digest(params)[:8]}{suffix}"
        name = _picture_name(pair, suffix)
        if beside:
            self.output.write(f"images/{name}", data)
        return {
            "pair_id": pair["pair_id"],
            "image": {"bytes": None, "path": f"images/{name}"}
            if beside
            else {"bytes": data, "path": name},
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
    """Outcome of some pairs."""

    done: list[str] = field(default_factory=list)
    """Ids of those with a picture."""
    failed: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    """Bytes."""

    def add(self, other: _Written) -> None:
        self.done += other.done
        self.failed += other.failed
        self.size += other.size


def _append(writer: pq.ParquetWriter, table: pa.Table) -> None:
    if table.num_rows:
        writer.write_table(conformed(table, writer.schema), row_group_size=GROUP_ROWS)


def _passed_through(pairs: pa.Table) -> list[str]:
    """Columns that the pairing table brought along."""
    return [name for name in pairs.column_names if name not in PLAN_ONLY]


def _picture_name(pair: dict[str, Any], suffix: str) -> str:
    """A file name that tells the pair to a person and is unique through the id."""
    stems = (
        re.sub(r"[^\w-]+", "_", _stem(pair[role])).encode()[:48].decode(errors="ignore")
        for role in ("content", "style")
    )
    return "__".join([*stems, pair["pair_id"][:16]]) + suffix


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1].rsplit(".", 1)[0]
