"""Windows onto a large latent, which the UNet sees one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

OVERLAP = 0.25
"""Least overlap of neighbouring windows, as a share of a window."""
WHOLE = 4 / 3
"""Largest area that is seen whole, in areas of a window: the sides of pictures are rounded."""


@dataclass(frozen=True)
class Windows:
    """Windows of one size that cover a latent, row by row.

    A latent of about a window's area is seen whole, whatever its shape: models are trained on
    areas.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def over(cls, latent: Sequence[int], side: int | None) -> Windows:
        """Windows of `side` x `side` latent positions, or less where the latent is narrower; one
        window if `side` is None.

        Args:
            latent: shape of the latent; its last two numbers are height and width.
            side: of a window.
        """
        height, width = latent[-2:]
        if side is None or height * width <= WHOLE * side**2:
            return cls(height, width, (0,), (0,))
        (height, tops), (width, lefts) = (_starts(length, side) for length in latent[-2:])
        return cls(height, width, tops, lefts)

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Top and left of each window."""
        return tuple(product(self.tops, self.lefts))

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)


def _starts(length: int, side: int) -> tuple[int, tuple[int, ...]]:
    """The length of windows over a length, and their evenly spread starts."""
    if length <= side:
        return length, (0,)
    shared = ceil(OVERLAP * side)
    count = ceil((length - shared) / (side - shared))
    return side, tuple(round(i * (length - side) / (count - 1)) for i in range(count))
