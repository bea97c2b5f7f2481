"""Statistics of pictures in a run's folder, so that a resumed planning repeats none."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.source import Source
from styleid_ray.planning.statistics import SIZE, VERSION
from styleid_ray.storage.store import Store

FOLDER = "_run/statistics"


class StatisticsStore:
    """Parquet files of key, version and vector, some pictures of one role in each."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def fill(self, vectors: np.ndarray, source: Source, role: str) -> None:
        """Puts what is stored of a source's pictures, at their versions, into rows [K, SIZE]."""
        keys = Keys(source.keys).array
        versions = _versions(source)
        for name in self.store.files(FOLDER):
            if not name.startswith(f"{FOLDER}/{role}-{VERSION}-"):
                continue
            try:
                table = self.store.parsed(name, pq.read_table)
                places = pc.index_in(table["key"], keys).combine_chunks()
                same = pc.equal(versions.take(places), table["version"].combine_chunks())
                rows = np.flatnonzero(same.fill_null(False).to_numpy(zero_copy_only=False))
                stored = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, SIZE)
                vectors[places.to_numpy(zero_copy_only=False)[rows].astype(int)] = stored[rows]
            except (pa.ArrowException, KeyError, ValueError):
                continue  # damaged: its pictures are looked at again

    def add(self, vectors: np.ndarray, source: Source, role: str, indices: np.ndarray) -> None:
        """Stores the rows of the pictures at some indices."""
        keys = Keys(source.keys).take(pa.array(indices)).array
        versions = _versions(source).take(pa.array(indices))
        flat = pa.array(vectors[indices].reshape(-1), pa.float32())
        table = pa.table(
            {
                "key": keys,
                "version": versions,
                "vector": pa.FixedSizeListArray.from_arrays(flat, SIZE),
            }
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        self.store.write(f"{FOLDER}/{role}-{VERSION}-{digest}.parquet", data)


def _versions(source: Source) -> pa.StringArray:
    if source.versions is not None:
        return source.versions.array
    return pa.array([""], pa.string()).take(pa.array(np.zeros(len(source.keys), np.int64)))
