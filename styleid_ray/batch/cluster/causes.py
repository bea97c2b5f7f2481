"""The original cause of an error that Ray passes on."""

from __future__ import annotations

from styleid_ray.errors import StyleIDError
from styleid_ray.storage.locations import shown


def first_cause(error: BaseException) -> BaseException:
    """The first exception of a chain that Ray handed on."""
    while isinstance(getattr(error, "cause", None), BaseException):
        error = error.cause  # pyright: ignore[reportAttributeAccessIssue]
    return error


def cause_line(error: BaseException) -> str:
    """The same in one line."""
    error = first_cause(error)
    lines = str(error).strip().splitlines() or [""]
    line = shown(lines[0])
    return line if isinstance(error, StyleIDError) else f"{type(error).__name__}: {line}"
