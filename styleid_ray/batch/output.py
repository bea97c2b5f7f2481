"""One output location, on a disk or in an object store: names, whole-file writes, what is there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from fsspec.implementations.local import LocalFileSystem

from styleid_ray.errors import OutputError

Kind = Literal["data", "errors"]
CONFIG = "_run/config.yaml"
PLAN = "_run/plan"
_READERS = 16


class Output:
    """The files of a run under one URL. Names are relative to it, with '/' between their parts.

    Every write is whole or does not happen: aside and renamed on a disk, one put in an object
    store. Instances can be pickled and sent to any node.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or url
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as e:
            raise OutputError(f"--output {url} cannot be opened: {e}") from e

    def path(self, name: str) -> str:
        """Where a file lies on the filesystem `fs`."""
        return f"{self.root}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Puts a whole file in place; a reader sees the old one or the new one, never a part."""
        path = self.path(name)
        if not isinstance(self.fs, LocalFileSystem):
            self.fs.pipe_file(path, data)
            return
        aside = self.path(f"_run/tmp/{uuid.uuid4().hex}")
        os.makedirs(os.path.dirname(aside), exist_ok=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(aside, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.replace(aside, path)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise

    def write_table(self, name: str, table: pa.Table) -> int:
        """Puts a table in place as Parquet; returns its size in bytes."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        self.write(name, data)
        return len(data)

    def read(self, name: str) -> bytes:
        """A file's bytes; raises FileNotFoundError when it is not there."""
        return self.fs.cat_file(self.path(name))

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file's rows."""
        with self.fs.open(self.path(name), "rb") as f:
            return pq.read_table(f, columns=columns)

    def files(self, folder: str) -> list[str]:
        """Names of the Parquet files in a folder, sorted; none when it does not exist."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(
            f"{folder}/{name}"
            for name in (path.rstrip("/").rsplit("/", 1)[-1] for path in found)
            if name.endswith(".parquet") and not name.startswith((".", "_"))
        )

    def pair_ids(self, kind: Kind) -> np.ndarray:
        """The ids in all committed files of a kind, sorted, each once, as fixed-size bytes."""
        with ThreadPoolExecutor(_READERS) as pool:
            parts = list(pool.map(self._ids_of, self.files(kind)))
        ids = np.concatenate(parts) if parts else np.empty(0, "S32")
        return np.unique(ids)

    def _ids_of(self, name: str) -> np.ndarray:
        try:
            column = self.read_table(name, ["pair_id"]).column("pair_id")
        except pa.ArrowInvalid as e:
            raise OutputError(
                f"{self.url}/{name} is damaged ({e}): delete it, and its pairs are made again"
            ) from e
        return as_ids(column)

    def plan_parts(self) -> Iterator[pa.Table]:
        """The stored plan, part by part."""
        for name in self.files(PLAN):
            yield self.read_table(name)

    def record(self) -> dict[str, Any] | None:
        """The stored `config.yaml`, or None when there is no run here."""
        try:
            text = self.read(CONFIG)
        except FileNotFoundError:
            return None
        try:
            found = yaml.safe_load(text)
            assert isinstance(found, dict)
        except (yaml.YAMLError, AssertionError) as e:
            raise OutputError(f"{self.url}/{CONFIG} is damaged: choose another --output") from e
        return found


def as_ids(column: pa.ChunkedArray) -> np.ndarray:
    """A column of pair ids as numpy bytes of fixed size."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype="S32")
