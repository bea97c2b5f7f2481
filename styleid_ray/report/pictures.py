"""Small copies of pictures, ready to be embedded in a page."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from PIL import Image

from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode
from styleid_ray.imaging.fit import centre_square
from styleid_ray.storage.listing import has_glob, split_glob
from styleid_ray.storage.locations import Options, absolute, local_path, split_chain
from styleid_ray.webpage import webp_uri

_SIDES = ((200, 512), (1000, 256), (4000, 192), (math.inf, 128))
"""(the most pairs, side of their copies in pixels)"""
_QUALITY = 82
_MOST_PIXELS = 64_000_000
"""Larger sources are not decoded for a thumbnail."""
_MOST_FAILURES = 10
"""Failures in a row from the start after which a source counts as gone."""


def side_of(shown: int) -> int:
    """Longest side in pixels of the copies in a page with `shown` pairs, to bound its size."""
    return next(side for most, side in _SIDES if shown <= most)


def embedded(data: bytes, side: int, square: bool = False) -> str | None:
    """The data URI of a copy of a picture file, at most `side` pixels wide and high, or of its
    centre square; None when the file cannot be read."""
    try:
        image = decode(data, _MOST_PIXELS)
    except RowError:
        return None
    if square:
        image = centre_square(image)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return webp_uri(image, _QUALITY)


class SourcePictures:
    """The contents or styles of a run, as far as they can still be read.

    Args:
        config: the run's stored options.
        role: "content" or "style".
        side: longest side of the copies, in pixels.
        storage_options: of the sources' filesystems.
        places: positions of pictures in larger files, by key.
    """

    def __init__(
        self,
        config: dict[str, Any],
        role: str,
        side: int,
        storage_options: Options,
        places: Mapping[str, str],
    ) -> None:
        self.places = places
        self.roots = list(_roots(config.get(role), config.get("table")))
        self.square = config.get("fit") == "crop"
        self.side = side
        self.storage_options = storage_options
        self._found = False
        self._failures = 0

    def embedded(self, key: str) -> str | None:
        """The data URI of a picture, or None when it is missing."""
        if not self._found and self._failures >= _MOST_FAILURES:
            return None
        for root in self.roots:
            try:
                source = Source(root, (), self.storage_options or {})
                data = fetch_picture(source, key, self.places.get(key)).data
            except RowError:
                continue
            self.roots, self._found = [root], True
            return embedded(data, self.side, self.square)
        self._failures += 1
        return None


def _roots(url: Any, table: Any) -> Iterable[str]:
    """Possible roots of keys: the folder itself, or the folder of a pattern or of a single file."""
    if not isinstance(url, str) or not url:
        yield from _parents(table) if isinstance(table, str) else ["."]
        return
    yield _located(url)
    yield from _parents(url)


def _parents(url: str) -> Iterator[str]:
    inner, chained = split_chain(_located(url))
    if has_glob(inner):
        yield split_glob(inner)[0] + chained
    yield inner.rpartition("/")[0] + chained


def _located(url: str) -> str:
    path = local_path(url)
    return url.replace("::/", "::file:///") if path is None else absolute(path)
