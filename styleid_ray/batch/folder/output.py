"""One output location, on a disk or in an object store: names, whole-file writes, what is there."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from fsspec.implementations.local import LocalFileSystem

from styleid_ray.errors import OutputError, StyleIDError
from styleid_ray.storage.fetch import reason, retrying
from styleid_ray.storage.locations import Options, cannot_open, open_filesystem, shown
from styleid_ray.storage.secrets import scrubbed, without_secrets

Kind = Literal["data", "errors"]
CONFIG = "_run/config.yaml"
PLAN = "_run/plan"
_RECORD = ("model", "config")
_READERS = 16
_READ_ATTEMPTS, _WRITE_ATTEMPTS = 4, 10
T = TypeVar("T")


class Output:
    """The files of a run under one URL. Names are relative to it, with '/' between their parts.

    Every write is whole or does not happen: aside and renamed on a disk, one put in an object
    store, where requests are tried again for as long as an outage commonly lasts. Instances can be
    pickled and sent to any node.

    Args:
        url: local path, or URL of any fsspec filesystem.
        storage_options: what the filesystem is opened with.

    Raises OutputError, here when nothing can be opened at the URL, later when a file cannot be
    written or read.
    """

    def __init__(self, url: str, storage_options: Options = None) -> None:
        self.url = without_secrets(url.rstrip("/") or url)
        self.storage_options = storage_options
        if url.endswith("://"):
            raise OutputError(f"--output {url}: name a bucket, and a folder in it")
        try:
            self.fs, self.root = open_filesystem(url.rstrip("/") or url, storage_options)
        except Exception as e:  # each filesystem has its own errors
            said = scrubbed(cannot_open(url, e), storage_options)
            raise OutputError(f"--output {shown(url)}: {said}") from e

    def path(self, name: str) -> str:
        """Where a file lies on the filesystem `fs`."""
        return f"{self.root}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Puts a whole file in place; a reader sees the old one or the new one, never a part."""
        path = self.path(name)
        with self._said(name, "written", "make room there, or check permissions and credentials"):
            if isinstance(self.fs, LocalFileSystem):
                self._replace(path, data)
                return
            for attempt in retrying(_WRITE_ATTEMPTS, timeout=120):
                with attempt:
                    self.fs.pipe_file(path, data)

    def _replace(self, path: str, data: bytes) -> None:
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
        with self._said(name, "read"):
            return self._tried(lambda: self.fs.cat_file(self.path(name)))

    def delete(self, name: str) -> None:
        """Removes a file; one that is not there is no error."""
        with self._said(name, "removed"), suppress(FileNotFoundError):
            self._tried(lambda: self.fs.rm_file(self.path(name)))

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        """A file to read parts of. Nothing is read ahead: of a large file of pictures, the ids
        are read alone."""
        ahead = {} if isinstance(self.fs, LocalFileSystem) else {"cache_type": "none"}
        with self.fs.open(self.path(name), "rb", **ahead) as f:
            yield f

    def parsed(self, name: str, parse: Callable[[Any], T]) -> T:
        """What `parse` makes of an open file, of which it need not read all.

        What goes wrong may lie in the file or on the way to it, which only a whole read tells: no
        file is called damaged because a store could not be reached.

        Raises:
            pyarrow.ArrowInvalid: the file is damaged.
            FileNotFoundError: it is not there.
        """

        def read() -> T:
            with self.open(name) as f:
                return parse(f)

        try:
            with self._said(name, "read"):
                return self._tried(read)
        except OutputError:
            data = self.read(name)
        try:
            return parse(io.BytesIO(data))
        except (pa.ArrowInvalid, StyleIDError):
            raise
        except Exception as e:  # of bytes at hand, anything is their own fault
            raise pa.ArrowInvalid(f"{type(e).__name__}: {shown(str(e))}"[:300]) from e

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file's rows; raises as `parsed` does."""
        return self.parsed(name, lambda f: pq.read_table(f, columns=columns))

    def read_ids(self, name: str) -> np.ndarray:
        """The ids of the pairs in a file; raises as `parsed` does."""
        return self.parsed(
            name, lambda f: as_ids(pq.read_table(f, columns=["pair_id"]).column("pair_id"))
        )

    def files(self, folder: str) -> list[str]:
        """Names of the Parquet files in a folder, sorted; none when it does not exist."""
        return [name for name in self.listed(folder) if name.endswith(".parquet")]

    def listed(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without hidden ones."""
        self.fs.invalidate_cache()
        try:
            with self._said(folder, "listed"):
                found = self._tried(lambda: self.fs.ls(self.path(folder), detail=False))
        except FileNotFoundError:
            return []
        names = (path.rstrip("/").rsplit("/", 1)[-1] for path in found)
        return sorted(f"{folder}/{name}" for name in names if not name.startswith((".", "_")))

    def _tried(self, work: Callable[[], T]) -> T:
        """The result of a request, made again when it fails for a while."""
        for attempt in retrying(1 if isinstance(self.fs, LocalFileSystem) else _READ_ATTEMPTS):
            with attempt:
                return work()
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def _said(
        self, name: str, done: str, remedy: str = "check permissions and credentials"
    ) -> Iterator[None]:
        """What goes wrong in the block is an OutputError; a file that is missing when it is read,
        or damaged, stays what it is."""
        try:
            yield
        except (pa.ArrowInvalid, StyleIDError):
            raise
        except Exception as e:  # each filesystem has its own errors
            if isinstance(e, FileNotFoundError) and done != "written":
                raise
            why = reason(e, self.storage_options)
            raise OutputError(f"{self.url}/{name} cannot be {done} ({why}): {remedy}") from e

    def pair_ids(self, kind: Kind) -> np.ndarray:
        """The ids in all committed files of a kind, sorted, each once, as fixed-size bytes."""
        return unique_ids(self.ids_by_file(kind).values())

    def ids_by_file(
        self, kind: Kind, known: Mapping[str, np.ndarray] = MappingProxyType({})
    ) -> dict[str, np.ndarray]:
        """The ids in each committed file of a kind; of files that are `known`, without a look."""
        names = self.files(kind)
        new = [name for name in names if name not in known]
        with ThreadPoolExecutor(_READERS) as pool:
            read = dict(zip(new, pool.map(self._ids_of, new), strict=True))
        return {name: known[name] if name in known else read[name] for name in names}

    def _ids_of(self, name: str) -> np.ndarray:
        try:
            return self.read_ids(name)
        except FileNotFoundError:  # taken away since it was listed: it was tidied up
            return np.empty(0, "S32")
        except pa.ArrowInvalid as e:
            raise OutputError(
                f"{self.url}/{name} is damaged ({shown(str(e))}): delete it, and its pairs are "
                "made again"
            ) from e

    def plan_parts(self) -> Iterator[pa.Table]:
        """The stored plan, part by part."""
        for name in self.files(PLAN):
            try:
                yield self.read_table(name)
            except pa.ArrowInvalid as e:
                raise OutputError(
                    f"{self.url}/{name}, a part of the plan, is damaged ({shown(str(e))}): "
                    "choose another --output"
                ) from e

    def record(self) -> dict[str, Any] | None:
        """The stored `config.yaml`, or None when there is no run here."""
        try:
            text = self.read(CONFIG)
        except FileNotFoundError:
            return None
        try:
            found = yaml.safe_load(text)
            parts = [found[name] for name in _RECORD]
        except Exception as e:  # what is not YAML, or a wrong value in it, comes out as anything
            raise OutputError(f"{self.url}/{CONFIG} is damaged: choose another --output") from e
        if not all(isinstance(part, dict) for part in parts):
            raise OutputError(f"{self.url}/{CONFIG} is damaged: choose another --output")
        return found


def unique_ids(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The ids of all parts, sorted, each once."""
    return np.unique(np.concatenate([np.empty(0, "S32"), *parts]))


def as_ids(column: pa.ChunkedArray) -> np.ndarray:
    """A column of pair ids as numpy bytes of fixed size."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype="S32")
