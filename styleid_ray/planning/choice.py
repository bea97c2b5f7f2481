"""The input of a pairing: keys of contents and styles, and the facts on each picture it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.config import PictureOptions, SourceOptions
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.planning.classes import classes_of
from styleid_ray.planning.gather import gather
from styleid_ray.storage.store import Store

Indices = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Contents and styles of the pairs, int32 [P] each, and the group of each content or None."""


@dataclass(frozen=True)
class Earlier:
    """Results of earlier plannings of a run; empty for a new run."""

    pairs: pa.Table | None = None
    """Columns content and style, texts or dictionaries of them: the distinct pairs of the plan."""
    store: Store | None = None
    """The run's folder, where statistics of pictures are kept; None to keep none."""


NOTHING = Earlier()


@dataclass(frozen=True)
class Choice:
    """The contents and styles of a job, or of one of its splits."""

    config: SourceOptions
    contents: Keys
    styles: Keys
    weights: np.ndarray | None = None
    """float64 [S], not negative; None where all weigh alike."""
    planned: tuple[np.ndarray, np.ndarray] | None = None
    """Contents and styles of the pairs already in the run's plan, int64 [P] each; -1 for a picture
    that no longer exists."""
    classes: tuple[np.ndarray, np.ndarray] | None = None
    """Class of each content and of each style, texts; '' for none."""
    statistics: tuple[np.ndarray, np.ndarray] | None = None
    """Statistics of each content and of each style, float32 [C, D] and [S, D]; NaN for a picture
    that cannot be read."""
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
        if not self.split:
            return ""
        return f" for the split {self.split} (--share-styles gives it all styles)"

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


def choice_of(
    config: SourceOptions,
    contents: Source,
    styles: Source,
    options: DatasetOptions,
    earlier: Earlier,
) -> Choice:
    """The contents and styles of a job, with all inputs of its pairing but weights.

    Args:
        options: how the contents are read.
        earlier: results of earlier plannings of the run.

    Raises:
        SourceError: as `make_pairs`.
    """
    choice = Choice(config, Keys(contents.keys), Keys(styles.keys))
    if config.pairing == "balanced" and earlier.pairs is not None:
        return replace(choice, planned=_planned(earlier.pairs, choice))
    if config.pairing == "by-class":
        return replace(choice, classes=classes_of(contents, styles, config, options))
    if config.pairing in ("nearest", "farthest"):
        limits = config if isinstance(config, PictureOptions) else PictureOptions()
        of_contents, of_styles = (
            gather(source, role, limits, earlier.store, options.spread)
            for source, role in ((contents, "content"), (styles, "style"))
        )
        notes = (_unreadable(of_contents, "content"), _unreadable(of_styles, "style"))
        both = of_contents, of_styles
        return replace(choice, statistics=both, notes=tuple(filter(None, notes)))
    return choice


def _planned(pairs: pa.Table, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    columns = zip(("content", "style"), (choice.contents, choice.styles), strict=True)
    of_content, of_style = (
        pc.index_in(pairs[name].cast(pa.string()), keys.array).fill_null(-1).to_numpy()
        for name, keys in columns
    )
    return of_content.astype(np.int64), of_style.astype(np.int64)


def _unreadable(vectors: np.ndarray, role: str) -> str:
    """A line on the pictures that could not be read; '' where there are none."""
    count = int(np.isnan(vectors[:, 0]).sum())
    if not count:
        return ""
    outcome = "get styles at random" if role == "content" else "are not chosen"
    return f"{count:,} of {len(vectors):,} {role}s cannot be read to be compared: they {outcome}"


def _places(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The place of each integer among others, -1 for a missing one."""
    return pc.index_in(pa.array(values), pa.array(among)).fill_null(-1).to_numpy()
