"""Small copies of pictures, ready to be embedded in a page."""

import math
from collections.abc import Mapping

from PIL import Image

from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode
from styleid_ray.imaging.fit import centre_square
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
        source: their location.
        places: positions of pictures in larger files, by key.
        side: longest side of the copies, in pixels.
        square: whether the run uses the centre square of each picture.
    """

    def __init__(self, source: Source, places: Mapping[str, str], side: int, square: bool) -> None:
        self.source, self.places, self.side, self.square = source, places, side, square
        self._found = False
        self._failures = 0

    def embedded(self, key: str) -> str | None:
        """The data URI of a picture, or None when it is missing."""
        if not self._found and self._failures >= _MOST_FAILURES:
            return None
        try:
            data = fetch_picture(self.source, key, self.places.get(key)).data
        except RowError:
            self._failures += 1
            return None
        self._found = True
        return embedded(data, self.side, self.square)
