"""Text files that list pictures, a line for each."""

from __future__ import annotations

import io
from collections.abc import Iterator


def lines_of(data: bytes) -> Iterator[str]:
    """The lines of a text file that hold more than blanks, without the blanks around them.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    for line in io.TextIOWrapper(io.BytesIO(data), "utf-8-sig"):
        if line.strip():
            yield line.strip()
