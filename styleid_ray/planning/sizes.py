"""Bytes that a plan reads, where the filesystem tells the sizes of its files."""

from __future__ import annotations

import os

import numpy as np

from styleid_ray.planning.columns import codes
from styleid_ray.planning.plan import Plan
from styleid_ray.planning.sources import Source
from styleid_ray.storage.fetch import retrying
from styleid_ray.storage.locations import is_absolute, local_path, open_filesystem


def bytes_read(plan: Plan) -> int | None:
    """Bytes of all pictures, each counted once for every shard that reads it; None if unknown."""
    shard, total = codes(plan.table["shard"]).astype(np.int64), 0
    for role, source in (("content", plan.contents), ("style", plan.styles)):
        sizes = file_sizes(source)
        if sizes is None:
            return None
        picture = codes(plan.table[role])
        read = np.unique(shard * len(sizes) + picture) % len(sizes)
        total += int(np.bincount(read, minlength=len(sizes)) @ sizes)
    return total


def file_sizes(source: Source) -> np.ndarray | None:
    """Sizes in bytes of a source's files, int64 in the order of its keys; None where the
    filesystem does not tell them all (web servers), or not in one listing (full URLs)."""
    try:
        if local_path(source.root) is not None:
            sizes = [_local_size(source.url(key)) for key in source.keys]
        else:
            sizes = _listed_sizes(source)
    except Exception:  # each filesystem has its own errors; the sizes are not needed for the job
        return None
    return None if None in sizes else np.array(sizes, np.int64)


def _local_size(url: str) -> int | None:
    path = local_path(url)
    return None if path is None else os.stat(path).st_size


def _listed_sizes(source: Source) -> list[int | None]:
    if source.root.lower().startswith(("http://", "https://")) or any(
        map(is_absolute, source.keys)
    ):
        return [None]
    filesystem, folder = open_filesystem(source.root, source.storage_options)
    for attempt in retrying():
        with attempt:
            found = filesystem.find(folder, detail=True)
    filesystem.invalidate_cache()
    prefix = folder.rstrip("/") + "/" if folder.strip("/") else folder
    return [found.get(prefix + key, {}).get("size") for key in source.keys]
