"""The files of a run under one URL: its record, its plan, and its committed shards."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from styleid_ray.config import digest
from styleid_ray.errors import OutputError
from styleid_ray.planning.columns import STYLE_COLUMNS
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import without_secrets
from styleid_ray.storage.store import Store
from styleid_ray.storage.version import size_in

T = TypeVar("T")
CONFIG = "_run/config.yaml"
PLAN = "_run/plan"
SUMMARY = "summary.json"
PLAN_ONLY = (
    *("pair_id", "content", "style", "k", "gamma", "temperature", "shard", "content_mask"),
    *(
        f"{name}_{fact}"
        for name in ("content", "style", *STYLE_COLUMNS)
        for fact in ("version", "place")
    ),
)
"""Columns of the plan that are not passed through to `data/`, but written under their own rules or
not at all."""
REMADE = b"styleid_ray.remade"
"""Key in the metadata of a data file with remade pairs; each remake changes its value."""
LAYOUT = 3
"""Number of the arrangement of a run's files; layout 1 has no number in its record."""
_READERS = 16
_RECORD = ("model", "config", "identity", "plan")


class Output(Store):
    """The files of a run."""

    def write_table(self, name: str, table: pa.Table) -> None:
        """Writes a table as Parquet."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write(name, sink.getvalue().to_pybytes())

    def row_groups(self, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a file, one row group at a time; raises as `parsed` does."""
        footer = self.parsed(name, pq.read_metadata)

        def read(f: Any, at: int) -> pa.Table:
            return pq.ParquetFile(f, metadata=footer).read_row_group(at, columns)

        for at in range(footer.num_row_groups):
            yield self.parsed(name, partial(read, at=at))

    def read_ids(self, name: str) -> np.ndarray:
        """The ids of the pairs in a file; raises as `parsed` does."""
        return self.parsed(
            name, lambda f: as_ids(pq.read_table(f, columns=["pair_id"]).column("pair_id"))
        )

    def shard_rows(self, name: str, columns: list[str]) -> pa.Table | None:
        """Columns of a shard's file; None if a retry or a repair has removed it. Raises OutputError
        if it is damaged or cannot be read."""
        try:
            return self.parsed(name, lambda f: pq.read_table(f, columns=columns).select(columns))
        except FileNotFoundError:
            return None
        except (pa.ArrowInvalid, KeyError) as e:
            raise self.damaged(name, e) from e

    def finished(self) -> set[str]:
        """Names of the finished shards, which have a data file. One listing."""
        return set(map(stem, self.files("data")))

    def data_digest(self) -> str:
        """A digest of the finished shards, which changes when shards are finished or pairs remade,
        and not when the run is moved. One listing."""
        sizes = {name: size_in(version) for name, version in self.versions("data").items()}
        return digest(sizes)

    def plan_part(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A part of the stored plan; its keys are Arrow dictionaries. Raises OutputError if it is
        damaged."""
        keys = ["shard", "content", "style"]
        try:
            part = self.parsed(
                name, lambda f: pq.read_table(f, columns=columns, read_dictionary=keys)
            )
            part.validate(full=True)  # reading does not check that text is UTF-8
            return part
        except pa.ArrowInvalid as e:
            raise OutputError(
                f"{self.url}/{name}, a part of the plan, is damaged ({shown(str(e))}): "
                "choose another --output"
            ) from e

    def record(self) -> dict[str, Any] | None:
        """The stored `config.yaml`, or None when there is no run here. Raises OutputError if it is
        damaged, or has another layout."""
        if self.is_local and os.path.isfile(self.root):
            raise OutputError(f"--output {shown(self.url)} is a file: name a folder")
        try:
            text = self.read(CONFIG)
        except FileNotFoundError:
            return None
        damaged = OutputError(f"{self.url}/{CONFIG} is damaged: choose another --output")
        try:
            record = yaml.safe_load(text)
            layout, parts = record.get("layout", 1), [record.get(name) for name in _RECORD]
        except Exception as e:  # malformed YAML, or a wrong value in it, raises anything
            raise damaged from e
        if layout != LAYOUT and isinstance(record.get("config"), dict):
            raise OutputError(
                f"the run at {self.url} has files of layout {layout}, and this version of "
                f"styleid-ray reads layout {LAYOUT}: finish it with the version that began it, or "
                "choose another --output"
            )
        if not all(isinstance(part, dict) for part in parts):
            raise damaged
        return record

    def existing_record(self) -> dict[str, Any]:
        """The stored `config.yaml`; raises OutputError as `record` does, or without a run."""
        record = self.record()
        if record is None:
            raise OutputError(f"there is no run at {self.url} (no {CONFIG}): check the path")
        return record

    def summary(self) -> dict[str, Any]:
        """The last command's summary; {} if there is none. Raises OutputError if it is damaged."""
        try:
            summary = json.loads(self.read(SUMMARY))
        except FileNotFoundError:
            return {}
        except ValueError:
            summary = None
        if not isinstance(summary, dict):
            raise OutputError(
                f"{self.url}/{SUMMARY} is damaged: remove it; the next command that makes pairs "
                "writes another"
            )
        return summary

    def damaged(self, shard_file: str, error: Exception) -> OutputError:
        """The error for a damaged file of a shard."""
        return OutputError(
            f"{self.url}/{shard_file} is damaged ({shown(str(error))}): verify --repair removes "
            "it, and its pairs are made again"
        )


def read_each(read: Callable[[str], T], names: Sequence[str]) -> Iterator[tuple[str, T]]:
    """Each name with what `read` returns for it, in order; many are read at a time, and few results
    are held."""
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(names), 4 * _READERS):
            chunk = names[start : start + 4 * _READERS]
            yield from zip(chunk, pool.map(read, chunk), strict=True)


def run_name(output: str) -> str:
    """The name that tells a run from others: the URL of its output, without secrets."""
    return without_secrets(output.rstrip("/") or output)


def stem(name: str) -> str:
    """The shard that a file belongs to."""
    return name.rsplit("/", 1)[-1].removesuffix(".parquet")


def data_file(shard: str) -> str:
    """The file whose existence means that a shard is finished."""
    return f"data/{shard}.parquet"


def errors_file(shard: str) -> str:
    """The file of a shard's failed pairs; absent when there are none."""
    return f"errors/{shard}.parquet"


def as_ids(column: pa.ChunkedArray) -> np.ndarray:
    """A column of pair ids as numpy bytes, dtype S32."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype="S32")
