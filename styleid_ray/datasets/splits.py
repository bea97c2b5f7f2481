"""The splits of a dataset: train, val, test."""

from collections.abc import Sequence

import numpy as np

from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.storage.secrets import digests

_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}

ALL_SPLITS = ("*",)
"""Stands for every split of a dataset."""


def split_name(word: str) -> str | None:
    """The split that a word stands for: train, val or test; None for any other word."""
    return _NAMES.get(word.lower())


def chosen(source: Source, options: DatasetOptions) -> Source:
    """The pictures of the chosen splits; by default of train, or of all splits without a train.
    Raises SourceError when the dataset lacks a chosen split."""
    if options.splits == ALL_SPLITS:
        return source
    if source.splits is None:
        if options.splits:
            raise options.fault(
                f"--splits {','.join(options.splits)} is given, but this {source.format} dataset "
                "has no splits: leave it out"
            )
        return source
    known = list(dict.fromkeys(source.splits))
    asked = options.splits or (("train",) if "train" in known else tuple(known))
    wanted = {split_name(name) or name for name in asked}
    missing = sorted(wanted - set(known))
    if missing:
        raise options.fault(
            f"--splits {','.join(missing)}: the dataset has {', '.join(sorted(known))}"
        )
    splits = source.splits.array
    return source.only(np.isin(np.asarray(splits.to_numpy(zero_copy_only=False)), list(wanted)))


def dealt(styles: Sequence[str], splits: Sequence[str]) -> np.ndarray:
    """The split that each style is for, int [S], by a hash of its key: adding a style changes the
    split of no other."""
    return (digests(styles) % np.uint64(len(splits))).astype(np.int64)
