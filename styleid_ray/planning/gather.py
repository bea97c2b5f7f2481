"""The statistics of a source's pictures: computed where they are not stored yet."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import threading
from contextlib import nullcontext
from functools import partial

import numpy as np
import pyarrow as pa

from styleid_ray.config import PictureOptions
from styleid_ray.datasets.fetch import Wanted, fetch_pictures
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.imaging.decode import decoding_memory, thumbnail
from styleid_ray.planning.statistics import SIDE, SIZE, statistics
from styleid_ray.planning.statistics_store import StatisticsStore
from styleid_ray.storage.fetch import Fetched

_TOGETHER = 64
"""Pictures per task."""
_STORED_TOGETHER = 4096
_LARGE = 2**27
_one_large = threading.Lock()
_Task = tuple[np.ndarray, Keys, Keys | None]
"""Indices of some pictures, their keys, and their places where they lie in larger files."""


def gather(
    source: Source,
    role: str,
    limits: PictureOptions,
    store: StatisticsStore | None = None,
    spread: Spread = in_threads,
) -> np.ndarray:
    """The statistics of all pictures of a source, float32 [K, SIZE].

    Rows of pictures that cannot be read are not a number.

    Args:
        role: "content" or "style".
        limits: the most bytes and pixels of a picture.
        store: what was computed before, by key and version, and where the rest is put.
        spread: where pictures are fetched and decoded.
    """
    vectors = np.full((len(source.keys), SIZE), np.nan, np.float32)
    if store:
        store.fill(vectors, source, role)
    missing = np.flatnonzero(np.isnan(vectors[:, 0]))
    groups = [missing[i : i + _TOGETHER] for i in range(0, len(missing), _TOGETHER)]
    if not groups:
        return vectors
    measure = partial(_measured, source.place, limits.max_bytes, limits.max_pixels)
    done: list[np.ndarray] = []
    for indices, own in spread(measure, [_task(source, group) for group in groups]):
        vectors[indices] = own
        done.append(indices[~np.isnan(own[:, 0])])
        if store and sum(map(len, done)) >= _STORED_TOGETHER:
            store.add(vectors, source, role, np.concatenate(done))
            done = []
    if store and done:
        store.add(vectors, source, role, np.concatenate(done))
    return vectors


def _task(source: Source, indices: np.ndarray) -> _Task:
    at = pa.array(indices)
    places = None if source.places is None else source.places.take(at)
    return indices, Keys(source.keys).take(at), places


def _measured(
    place: Source, max_bytes: int, max_pixels: int, task: _Task
) -> tuple[np.ndarray, np.ndarray]:
    indices, keys, places = task
    of_keys = [None] * len(keys) if places is None else places
    wanted: list[Wanted] = list(zip(keys, of_keys, strict=True))
    vectors = np.full((len(indices), SIZE), np.nan, np.float32)
    for index, file in fetch_pictures(place, wanted, max_bytes):
        if isinstance(file, Fetched):
            try:
                vectors[index] = _of_file(file.data, max_pixels)
            except RowError:  # loading reports it again
                continue
    return indices, vectors


def _of_file(data: bytes, max_pixels: int) -> np.ndarray:
    large = decoding_memory(data, max_pixels) > _LARGE
    with _one_large if large else nullcontext():
        return statistics(thumbnail(data, max_pixels, SIDE))
