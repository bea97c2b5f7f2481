"""The columns of a failed pair in `errors/`."""

from __future__ import annotations

from styleid_ray.errors import RowError
from styleid_ray.storage.locations import shown

MOST = 400
"""Most characters of a message; names of pictures and words of libraries can be of any length."""
_MOST_NAME = (20, 80)


def columns(error: RowError, what: str = "") -> dict[str, str]:
    """Stage, error (the name of the exception) and message (one printable line) of a failure.

    Args:
        error: the failure.
        what: the picture that it is about; a long name is shortened.
    """
    name = short(what)
    message = f"{name}: {error}" if name else str(error)
    return {
        "stage": error.stage,
        "error": type(error.__cause__ or error).__name__,
        "message": shown(message)[:MOST],
    }


def short(name: str) -> str:
    """A picture's name on one line; a long one is cut in its middle."""
    name, (head, tail) = shown(name), _MOST_NAME
    return name if len(name) <= head + tail else f"{name[:head]}…{name[-tail:]}"
