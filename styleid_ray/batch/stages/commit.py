"""The commit stage (CPU): encode the pictures and write the shard's files, whole."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from PIL import Image

from styleid_ray.batch.folder.naming import labelled
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages import row_error
from styleid_ray.batch.stages.shard import Done, Shard, each_shard
from styleid_ray.batch.watch.logs import StageLog
from styleid_ray.config import JobConfig
from styleid_ray.errors import RowError
from styleid_ray.imaging import encode, extension, restore
from styleid_ray.storage.secrets import without_secrets

_WRITERS = 8
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PARAMS = pa.struct(
    [
        ("preset", pa.string()),
        ("steps", pa.int32()),
        ("gamma", pa.float64()),
        ("temperature", pa.float64()),
        ("layers", pa.list_(pa.int32())),
        ("adain", pa.bool_()),
        ("inject", pa.bool_()),
        ("size", pa.int32()),
        ("fit", pa.string()),
        ("model", pa.string()),
        ("revision", pa.string()),
    ]
)
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
# Columns of the plan that are not passed through: written under their own rules, or not at all.
_PLAN_ONLY = (*_OF_A_PAIR, "shard")
# What Hugging Face datasets looks for to read `image` as pictures.
_HF_FEATURES = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})


class Commit:
    """Stylised shards to committed files. The rows that come out say what was done.

    The failed pairs are written after the others: a shard cut off in between has its failed pairs
    tried again, and no good pair can come to stand in two files.

    Args:
        output: where to write.
        config: the job; picture format, sizes and parameters are taken from it.
        revision: what the model was found at, as `Stylize` takes it.
    """

    def __init__(self, output: Output, config: JobConfig, revision: str | None) -> None:
        self.output = output
        self.config = config
        self.log = StageLog("commit", config)
        resolved = config.style_params.resolved().model_dump()
        self.params = resolved | {
            "size": config.size,
            "fit": config.fit,
            "model": without_secrets(config.model),
            "revision": revision,
        }

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        return each_shard(block, self.log.of(self.commit))

    def commit(self, shard: Shard) -> Done:
        """Writes the shard; returns its counts and seconds."""
        began, size = time.perf_counter(), 0
        pairs, results = shard.pairs.select(_OF_A_PAIR).to_pylist(), shard.results.to_pylist()
        with ThreadPoolExecutor(_WRITERS if self.config.format == "files" else 1) as pool:
            rows = list(pool.map(self._row_or_failure, pairs, results))
        good = [at for at, row in enumerate(rows) if "stage" not in row]
        failed = [row for row in rows if "stage" in row]
        if good:
            rows = [rows[at] for at in good]
            size = sum(row.pop("size") for row in rows)
            table = _with_passed_through(rows, shard.pairs.take(good))
            table = labelled(table, [row["pair_id"] for row in failed])
            size += self.output.write_table(f"data/{shard.name}.parquet", table)
        if failed:
            errors = [{name: row[name] for name in ERRORS.names} for row in failed]
            table = pa.Table.from_pylist(errors, schema=ERRORS)
            table = labelled(table, [pairs[at]["pair_id"] for at in good])
            self.output.write_table(f"errors/{shard.name}.parquet", table)
            self.log.failures(shard.name, failed)
        measures: dict[str, float] = {
            "done": len(good),
            "failed": len(failed),
            "commit_seconds": time.perf_counter() - began,
            "bytes_out": size,
        }
        return Done(shard.name, shard.measures | measures, shard.notes)

    def _row_or_failure(self, pair: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        if result["pixels"] is None:
            return pair | result
        try:
            return self._row(pair, result)
        except RowError as e:
            return pair | row_error.columns(e)

    def _row(self, pair: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        image = Image.frombytes("RGB", (result["width"], result["height"]), result["pixels"])
        image = restore(image, result["source_width"], result["source_height"], self.config.fit)
        data = encode(image, self.config.picture_format, self.config.quality)
        name = _picture_name(pair, extension(self.config.picture_format))
        beside = self.config.format == "files"
        if beside:
            self.output.write(f"images/{name}", data)
        own = {n: pair[n] for n in ("gamma", "temperature") if pair[n] is not None}
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
            "params": self.params | own,
            "seconds": result["seconds"],
            "size": len(data) if beside else 0,
        }


def _with_passed_through(rows: list[dict[str, Any]], pairs: pa.Table) -> pa.Table:
    """The dataset's table: our columns, then those that the pairing table brought along."""
    schema = pa.schema(
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
        ]
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    for name in pairs.column_names:
        if name not in _PLAN_ONLY:
            table = table.append_column(pairs.schema.field(name), pairs.column(name))
    return table.replace_schema_metadata({"huggingface": _HF_FEATURES})


def _picture_name(pair: dict[str, Any], suffix: str) -> str:
    """A file name that tells the pair to a person and is unique through the id."""
    stems = (
        re.sub(r"[^\w-]+", "_", _stem(pair[role])).encode()[:48].decode(errors="ignore")
        for role in ("content", "style")
    )
    return "__".join([*stems, pair["pair_id"][:16]]) + suffix


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1].rsplit(".", 1)[0]
