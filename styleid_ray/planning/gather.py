"""The statistics of a source's pictures: read from a run's folder, or computed and stored there."""

import hashlib
import threading
from contextlib import nullcontext, suppress
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.config import PictureOptions
from styleid_ray.datasets.fetch import Wanted, fetch_pictures
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.decode import decoding_memory, thumbnail
from styleid_ray.planning.statistics import SIDE, SIZE, VERSION, statistics
from styleid_ray.storage.locations import local_path, shown
from styleid_ray.storage.store import Store

_FOLDER = "_run/statistics"
_TOGETHER = 64
"""Pictures per task."""
_STORED_TOGETHER = 4096
_LARGE = 2**27
_ABSENT = (FileNotFoundError, IsADirectoryError)
_one_large = threading.Lock()
_Task = tuple[np.ndarray, Keys, Keys | None]
"""Indices of some pictures, their keys, and their places if they lie in larger files."""


def gather(
    source: Source,
    role: str,
    limits: PictureOptions,
    store: Store | None = None,
    spread: Spread = in_threads,
) -> np.ndarray:
    """The statistics of all pictures of a source, float32 [K, SIZE]; NaN for pictures that are
    missing, too large or damaged.

    Args:
        role: "content" or "style".
        limits: the most bytes and pixels of a picture.
        store: a run's folder. Statistics stored there, by key and version, are read, and all others
            stored, so that a resumed planning repeats none.
        spread: runs the fetching and decoding.

    Raises:
        SourceError: a picture cannot be fetched, which says nothing about the picture itself.
    """
    vectors = np.full((len(source.keys), SIZE), np.nan, np.float32)
    if store:
        _fill(store, vectors, source, role)
    missing = np.flatnonzero(np.isnan(vectors[:, 0]))
    groups = [missing[i : i + _TOGETHER] for i in range(0, len(missing), _TOGETHER)]
    if not groups:
        return vectors
    measure = partial(_measured, source.place, role, limits.max_bytes, limits.max_pixels)
    done: list[np.ndarray] = []
    for indices, own in spread(measure, [_task(source, group) for group in groups]):
        vectors[indices] = own
        done.append(indices[~np.isnan(own[:, 0])])
        if store and sum(map(len, done)) >= _STORED_TOGETHER:
            _add(store, vectors, source, role, np.concatenate(done))
            done = []
    if store and done:
        _add(store, vectors, source, role, np.concatenate(done))
    return vectors


def _fill(store: Store, vectors: np.ndarray, source: Source, role: str) -> None:
    """Reads the stored statistics of a source's pictures, at their versions, into rows [K, SIZE].

    They are Parquet files of key, version and vector, each of some pictures of one role.
    """
    keys, versions = Keys(source.keys).array, _versions(source)
    for name in store.files(_FOLDER):
        if not name.startswith(f"{_FOLDER}/{role}-{VERSION}-"):
            continue
        try:
            table = store.parsed(name, pq.read_table)
            places = pc.index_in(table["key"], keys).combine_chunks()
            same = pc.equal(versions.take(places), table["version"].combine_chunks())
            rows = np.flatnonzero(same.fill_null(False).to_numpy(zero_copy_only=False))
            stored = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, SIZE)
            vectors[places.to_numpy(zero_copy_only=False)[rows].astype(int)] = stored[rows]
        except (pa.ArrowException, KeyError, ValueError):
            continue  # damaged: its pictures are measured again


def _add(store: Store, vectors: np.ndarray, source: Source, role: str, indices: np.ndarray) -> None:
    """Stores the rows of the pictures at some indices."""
    flat = pa.array(vectors[indices].reshape(-1), pa.float32())
    columns = {
        "key": Keys(source.keys).take(pa.array(indices)).array,
        "version": _versions(source).take(pa.array(indices)),
        "vector": pa.FixedSizeListArray.from_arrays(flat, SIZE),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    digest = hashlib.blake2b(data, digest_size=8).hexdigest()
    store.write(f"{_FOLDER}/{role}-{VERSION}-{digest}.parquet", data)


def _versions(source: Source) -> pa.StringArray:
    if source.versions is not None:
        return source.versions.array
    return pa.array([""], pa.string()).take(pa.array(np.zeros(len(source.keys), np.int64)))


def _task(source: Source, indices: np.ndarray) -> _Task:
    at = pa.array(indices)
    places = None if source.places is None else source.places.take(at)
    return indices, Keys(source.keys).take(at), places


def _measured(
    place: Source, role: str, max_bytes: int, max_pixels: int, task: _Task
) -> tuple[np.ndarray, np.ndarray]:
    indices, keys, places = task
    of_keys = [None] * len(keys) if places is None else places
    wanted: list[Wanted] = list(zip(keys, of_keys, strict=True))
    vectors = np.full((len(indices), SIZE), np.nan, np.float32)
    for index, file in fetch_pictures(place, wanted, max_bytes):
        if isinstance(file, RowError):
            url = place.url(keys[index])
            _check_fetch(file, keys[index], role, local_path(url) is not None)
            continue
        with suppress(RowError):  # reported when the picture is loaded
            vectors[index] = _of_file(file.data, max_pixels)
    return indices, vectors


def _check_fetch(error: RowError, key: str, role: str, local: bool) -> None:
    """Raises SourceError unless a fetch failed because of the file itself: an outage would give its
    contents random styles, and the plan would keep them."""
    cause = error.__cause__
    # Arrow's error of a damaged Parquet file is an OSError without a number.
    damaged = isinstance(cause, pa.ArrowException) or (type(cause) is OSError and not cause.errno)
    of_file = cause is None or damaged or isinstance(cause, _ABSENT)
    if not (of_file or (local and isinstance(cause, OSError))):
        raise SourceError(
            f"--{role}: {shown(key)} cannot be fetched to be compared ({error}): check the "
            "credentials and the network and run the same command again, or leave the picture out"
        ) from error


def _of_file(data: bytes, max_pixels: int) -> np.ndarray:
    large = decoding_memory(data, max_pixels) > _LARGE
    with _one_large if large else nullcontext():
        return statistics(thumbnail(data, max_pixels, SIDE))
