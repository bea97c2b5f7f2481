"""The statistics of a source's pictures: computed where they are not stored yet."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np
import pyarrow as pa

from styleid_ray.config import PictureOptions
from styleid_ray.datasets.fetch import Wanted, fetch_pictures
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.imaging.decode import decoding_memory
from styleid_ray.imaging.thumbnail import thumbnail
from styleid_ray.planning.statistics import SIDE, SIZE, statistics
from styleid_ray.planning.statistics_store import StatisticsStore
from styleid_ray.storage.fetch import Fetched

_TOGETHER = 64
"""Pictures per task."""
_STORED_TOGETHER = 4096
_LARGE = 2**27
_one_large = threading.Lock()


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
    for indices, own in spread(measure, _Tasks(source, groups)):
        vectors[indices] = own
        done.append(indices[~np.isnan(own[:, 0])])
        if store and sum(map(len, done)) >= _STORED_TOGETHER:
            store.add(vectors, source, role, np.concatenate(done))
            done = []
    if store and done:
        store.add(vectors, source, role, np.concatenate(done))
    return vectors


class _Tasks(Sequence[tuple[np.ndarray, list[Wanted]]]):
    """Indices of pictures, with their keys and places, made when they are asked for."""

    def __init__(self, source: Source, groups: Sequence[np.ndarray]) -> None:
        self.source, self.groups = source, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, i):  # pyright: ignore
        indices = self.groups[i]
        keys = self.source.keys.take(pa.array(indices))  # pyright: ignore
        places = self.source.places
        of_keys = [None] * len(keys) if places is None else places.take(pa.array(indices))
        return indices, list(zip(keys, of_keys, strict=True))


def _measured(
    place: Source, max_bytes: int, max_pixels: int, task: tuple[np.ndarray, Sequence[Wanted]]
) -> tuple[np.ndarray, np.ndarray]:
    indices, wanted = task
    vectors = np.full((len(indices), SIZE), np.nan, np.float32)
    for index, file in fetch_pictures(place, wanted, max_bytes):
        if isinstance(file, Fetched):
            try:
                vectors[index] = _of_file(file.data, max_pixels)
            except RowError:  # it is so again when its pair is loaded, and reported there
                continue
    return indices, vectors


def _of_file(data: bytes, max_pixels: int) -> np.ndarray:
    large = decoding_memory(data, max_pixels) > _LARGE
    with _one_large if large else nullcontext():
        return statistics(thumbnail(data, max_pixels, SIDE))
