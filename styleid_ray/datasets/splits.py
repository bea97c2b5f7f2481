"""The splits of a dataset: train, val, test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source

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
"""Every split that a dataset has."""


def split_name(word: str) -> str | None:
    """The split that a word stands for: train, val or test; None for any other word."""
    return _NAMES.get(word.lower())


def with_splits(source: Source, splits: Iterable[str]) -> Source:
    """The source with the split of each picture, in the order of its keys."""
    return replace(source, splits=Keys(splits))


def chosen(source: Source, options: DatasetOptions) -> Source:
    """The pictures of the chosen splits: of train by default.

    Raises:
        SourceError: the dataset does not have them.
    """
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
    """The split that each style is for, int [S]: by a hash of its key, so that a style that comes
    later changes no other's."""
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in styles)
    hashes = np.frombuffer(digests, "<u8")
    return (hashes % np.uint64(len(splits))).astype(np.int64)
