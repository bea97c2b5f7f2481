"""The columns of a failed pair in `errors/`."""

from styleid_ray.errors import RowError
from styleid_ray.storage.locations import shown

MOST = 400
"""Maximum characters of a message; picture names and library messages can have any length."""
_HEAD, _TAIL = 20, 80


def columns(error: RowError, what: str = "") -> dict[str, str]:
    """Stage, error (the name of the exception) and message (one printable line) of a failure.
    `what` names the picture; a long name is shortened."""
    message = f"{short(what)}: {error}" if what else str(error)
    return {
        "stage": error.stage,
        "error": type(error.__cause__ or error).__name__,
        "message": shown(message)[:MOST],
    }


def short(name: str) -> str:
    """A picture's name on one line; a long one is cut in its middle."""
    name = shown(name)
    return name if len(name) <= _HEAD + _TAIL else f"{name[:_HEAD]}…{name[-_TAIL:]}"
