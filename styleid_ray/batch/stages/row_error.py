"""What `errors/` says of a pair that failed."""

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
        what: the picture that it is about; a long name is cut in its middle.
    """
    name, (head, tail) = shown(what), _MOST_NAME
    if len(name) > head + tail:
        name = f"{name[:head]}…{name[-tail:]}"
    said = f"{name}: {error}" if name else str(error)
    return {
        "stage": error.stage,
        "error": type(error.__cause__ or error).__name__,
        "message": shown(said)[:MOST],
    }
