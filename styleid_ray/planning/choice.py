"""The input of a pairing: keys, and facts on each picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from styleid_ray.config import SourceOptions
from styleid_ray.datasets.keys import Keys
from styleid_ray.errors import SourceError

Indices = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Contents and styles of the pairs, int32 [P] each, and the group of each content or None."""


@dataclass(frozen=True)
class Choice:
    """The contents and styles of a job, or those of one of its splits."""

    config: SourceOptions
    contents: Keys
    styles: Keys
    weights: np.ndarray | None = None
    """float64 [S], not negative; None where all weigh alike."""
    planned: tuple[np.ndarray, np.ndarray] | None = None
    """Contents and styles of the pairs that the run has already, int64 [P] each; -1 for one that is
    no longer there."""
    classes: tuple[np.ndarray, np.ndarray] | None = None
    """Class of each content and of each style, texts; '' for none."""
    statistics: tuple[np.ndarray, np.ndarray] | None = None
    """Statistics of each content and of each style, float32 [C, D] and [S, D]; not a number for a
    picture that cannot be read."""
    split: str = ""
    """The split; '' for all of them."""
    notes: tuple[str, ...] = ()
    """Lines for the user."""

    @property
    def count(self) -> int:
        """Styles per content."""
        return self.config.styles_per_content

    @property
    def suffix(self) -> str:
        """End of an error message: the split, and a remedy."""
        return f" for the split {self.split} (--share-styles gives it all)" if self.split else ""

    def of_split(self, contents: np.ndarray, styles: np.ndarray, split: str) -> Choice:
        """The part at these ascending indices, int64."""
        parts = {
            name: (both[0][contents], both[1][styles])
            for name in ("classes", "statistics")
            if (both := getattr(self, name)) is not None
        }
        if self.planned is not None:
            of_content, of_style = self.planned
            own = np.isin(of_style, styles) | np.isin(of_content, contents)
            parts["planned"] = _places(of_content[own], contents), _places(of_style[own], styles)
        return replace(
            self,
            contents=self.contents.take(pa.array(contents)),
            styles=self.styles.take(pa.array(styles)),
            weights=None if self.weights is None else self.weights[styles],
            split=split,
            **parts,
        )

    def check_count(self) -> None:
        """Raises SourceError when there are fewer styles than each content is to get."""
        if self.count > len(self.styles):
            raise SourceError(
                f"--styles-per-content {self.count} is more than the {len(self.styles)} pictures "
                f"of --style{self.suffix}; ask for at most {len(self.styles)}"
            )
        if self.weights is None:
            return
        positive = int((self.weights > 0).sum())
        if self.count > positive:
            raise SourceError(
                f"--style-weights: {positive} styles have a weight above 0{self.suffix}, fewer "
                f"than --styles-per-content {self.count}: give more of them a weight"
            )


def _places(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The place of each value among ascending ones, -1 where it is not there."""
    if not len(among):
        return np.full(len(values), -1)
    at = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return np.where(among[at] == values, at, -1)
