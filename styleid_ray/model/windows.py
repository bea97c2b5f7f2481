"""Windows onto a large latent, which the UNet sees one after the other. Plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

OVERLAP = 0.25
"""Least part of a window that it shares with the next one."""


@dataclass(frozen=True)
class Windows:
    """Windows of one size that cover a latent, row by row."""

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def over(cls, latent: Sequence[int], side: int | None) -> Windows:
        """Those with sides of `side` latent positions at the most; None for one in all.

        Args:
            latent: shape of the latent; its last two numbers are height and width.
            side: of a window.
        """
        (height, tops), (width, lefts) = (_starts(length, side) for length in latent[-2:])
        return cls(height, width, tops, lefts)

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Top and left of each window."""
        return tuple(product(self.tops, self.lefts))

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)


def _starts(length: int, side: int | None) -> tuple[int, tuple[int, ...]]:
    """The length of windows over a length, and where they begin: evenly spread."""
    if side is None or length <= side:
        return length, (0,)
    shared = ceil(OVERLAP * side)
    count = ceil((length - shared) / (side - shared))
    return side, tuple(round(i * (length - side) / (count - 1)) for i in range(count))
