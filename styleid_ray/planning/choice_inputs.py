"""Facts on pictures that pairings need: classes, statistics, planned pairs."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.config import PictureOptions, SourceOptions
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.planning.choice import Choice
from styleid_ray.planning.classes import classes_of
from styleid_ray.planning.earlier import Earlier
from styleid_ray.planning.gather import gather
from styleid_ray.planning.statistics_store import StatisticsStore


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
        earlier: what the run knows already.

    Raises:
        SourceError: as `make_pairs`.
    """
    choice = Choice(config, Keys(contents.keys), Keys(styles.keys))
    if config.pairing == "balanced" and earlier.pairs is not None:
        return replace(choice, planned=_planned(earlier.pairs, choice))
    if config.pairing == "by-class":
        return replace(choice, classes=classes_of(contents, styles, config, options))
    if config.pairing in ("nearest", "farthest"):
        store = earlier.store and StatisticsStore(earlier.store)
        limits = config if isinstance(config, PictureOptions) else PictureOptions()
        of_contents, of_styles = (
            gather(source, role, limits, store, options.spread)
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
    """In words, how many pictures could not be read."""
    count = int(np.isnan(vectors[:, 0]).sum())
    if not count:
        return ""
    outcome = "get styles at random" if role == "content" else "are not chosen"
    return f"{count:,} of {len(vectors):,} {role}s cannot be read to be compared: they {outcome}"
