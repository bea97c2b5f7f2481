"""The file of one picture."""

from __future__ import annotations

from styleid_ray.datasets.fetch import fetch_pictures
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.storage.fetch import Fetched


def fetch_picture(
    source: Source, key: str, place: str | None = None, max_bytes: int | None = None
) -> Fetched:
    """The file of one picture; raises RowError when it cannot be read."""
    ((_, file),) = fetch_pictures(source, [(key, place)], max_bytes)
    if isinstance(file, RowError):
        raise file
    return file
