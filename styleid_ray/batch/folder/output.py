"""The files of a run under one URL: its record, its plan, and its committed shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from styleid_ray.errors import OutputError
from styleid_ray.storage.locations import shown
from styleid_ray.storage.store import Store

Kind = Literal["data", "errors"]
CONFIG = "_run/config.yaml"
PLAN = "_run/plan"
_RECORD = ("model", "config")
_READERS = 16


class Output(Store):
    """The files of a run."""

    def write_table(self, name: str, table: pa.Table) -> int:
        """Puts a table in place as Parquet; returns its size in bytes."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        self.write(name, data)
        return len(data)

    def row_groups(self, name: str) -> Iterator[pa.Table]:
        """The rows of a file, one row group at a time; raises as `parsed` does."""
        for at in range(self.parsed(name, lambda f: pq.ParquetFile(f).num_row_groups)):
            yield self.parsed(name, lambda f, at=at: pq.ParquetFile(f).read_row_group(at))

    def read_ids(self, name: str) -> np.ndarray:
        """The ids of the pairs in a file; raises as `parsed` does."""
        return self.parsed(
            name, lambda f: as_ids(pq.read_table(f, columns=["pair_id"]).column("pair_id"))
        )

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
