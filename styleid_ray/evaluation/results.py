"""One stylised picture with its content and style, of a run or in folders."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from styleid_ray.errors import RowError


@dataclass(frozen=True)
class Result:
    """One stylised picture."""

    content: str
    """Key of its content."""
    style: str
    picture: Image.Image | RowError
    """RGB, or the reason why it cannot be read."""
    pair_id: str | None = None
    """Id of a run's pair."""
    places: dict[str, str] = field(default_factory=dict)
    """Places in a larger file, by "content" and "style"."""
