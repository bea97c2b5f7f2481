"""Pillow's process-wide switches, set during decoding and restored afterwards."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_lock = threading.Lock()
_limits: list[int] = []
_saved_limit: int | None = None
_warnings = warnings.catch_warnings()


@contextmanager
def quiet_pillow(max_pixels: int) -> Iterator[None]:
    """Silences warnings, and sets Pillow's own bomb check to `max_pixels`.

    Both are global to the process, so concurrent threads share one change: the first makes it, the
    last undoes it, and the largest of their limits applies.
    """
    global _saved_limit, _warnings
    with _lock:
        if not _limits:
            _saved_limit = Image.MAX_IMAGE_PIXELS
            _warnings = warnings.catch_warnings()
            _warnings.__enter__()
            warnings.simplefilter("ignore")
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_limits)
    try:
        yield
    finally:
        with _lock:
            _limits.remove(max_pixels)
            if _limits:
                Image.MAX_IMAGE_PIXELS = max(_limits)
            else:
                _warnings.__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS = _saved_limit
