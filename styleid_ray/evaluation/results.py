"""Sets of stylised pictures with their contents and styles, of a run or in folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from styleid_ray.errors import RowError


@dataclass(frozen=True)
class Result:
    """One stylised picture."""

    content: str
    """Key of its content."""
    style: str
    picture: Image.Image | RowError
    """RGB, or why it cannot be read."""
    pair_id: str | None = None
    """Id of a run's pair."""
    places: dict[str, str] = field(default_factory=dict)
    """Where content and style lie in a larger file, by "content" and "style"."""


class Results(Protocol):
    """A set of stylised pictures; fit for pickling, and light."""

    def units(self) -> list[Any]:
        """The set in parts, which actors take one at a time."""
        ...

    @property
    def count(self) -> int:
        """All pictures."""
        ...

    @property
    def remarks(self) -> list[str]:
        """Lines for a person, before the work begins."""
        ...

    def groups(self, unit: Any) -> Iterator[list[Result]]:
        """A part's pictures, a few at a time."""
        ...

    def source(self, role: str, key: str, place: str | None) -> Image.Image:
        """A content or a style.

        Args:
            role: "content" or "style".
            key: of the picture.
            place: of the picture, in a larger file.

        Raises:
            RowError: it cannot be read.
        """
        ...
