"""The pictures of a location, as a plan lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from styleid_ray.datasets.keys import Keys
from styleid_ray.storage.locations import join, shown
from styleid_ray.storage.secrets import FullURLs, without_secrets

_MOST_KINDS = 5


@dataclass(frozen=True)
class Source:
    """Pictures below one root. Their keys do not change when the root moves."""

    root: str
    """Folder: absolute local path, or URL."""
    keys: Keys | tuple[str, ...] = field(repr=False)
    """Sorted paths relative to `root`, with '/' between folders; or URLs and absolute paths."""
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Options of the filesystem; may hold secrets."""
    full_urls: FullURLs | None = field(default=None, repr=False, compare=False)
    """The URLs of keys whose URLs hold secrets."""
    versions: Keys | None = field(default=None, repr=False, compare=False)
    """SIZE:TAG of each key's file, with its ETag or modification time as the tag; '' where the
    filesystem has none. None where no listing reports versions (web servers, tables)."""
    skipped: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """Files that were left out of the listing, counted by kind."""
    places: Keys | None = field(default=None, repr=False, compare=False)
    """The place of each picture in a larger file (`storage.members`); None where each picture is a
    file of its own."""
    splits: Keys | None = field(default=None, repr=False, compare=False)
    """The split of each picture: train, val, test ...; None where the dataset has none."""
    format: str = field(default="folder", compare=False)
    """The dataset format; '' where nothing was listed."""

    def __post_init__(self) -> None:
        if not isinstance(self.keys, Keys):
            object.__setattr__(self, "keys", Keys(self.keys))

    @property
    def place(self) -> Source:
        """The same source without its listing: small enough to travel with every task."""
        return replace(self, keys=(), versions=None, skipped={}, places=None, splits=None)

    def url(self, key: str) -> str:
        """The location of a key, which may hold secrets. A key that is a URL or an absolute path is
        its own location."""
        location = join(self.root, key)
        if self.full_urls is None:
            return location
        return self.full_urls.get(without_secrets(location)) or location

    def only(self, chosen: np.ndarray) -> Source:
        """The pictures at these indices, int [T], or where a mask is true, bool [K]."""
        indices = pa.array(np.flatnonzero(chosen) if chosen.dtype == bool else chosen)
        columns = {
            name: None if column is None else column.take(indices)
            for name in ("versions", "places", "splits")
            for column in [getattr(self, name)]
        }
        return replace(self, keys=Keys(self.keys).take(indices), **columns)


def dataset_line(source: Source) -> str:
    """The format and splits that were read, in a few words; '' for a plain folder."""
    splits = sorted(set(source.splits or ()))
    parts = [source.format] if source.format not in ("folder", "") else []
    parts += [f"split{'s' * (len(splits) > 1)} {', '.join(splits)}"] if splits else []
    return ", ".join(parts)


def skipped_line(*sources: Source) -> str | None:
    """One line about the files that listings left out, counted by kind; None without any."""
    skipped = skipped_files(*sources)
    others = Counter({kind: count for kind, count in skipped.items() if not _is_extension(kind)})
    files = skipped - others
    words = [in_words(others)] if others else []
    if files:
        are = "is not a readable picture" if files.total() == 1 else "are not readable pictures"
        number = f"{files.total():,} file{'s' * (files.total() > 1)}"
        words.insert(0, f"{number} that {are} ({in_words(files)})")
    return f"skipped {', '.join(words)}" if words else None


def _is_extension(kind: str) -> bool:
    return kind.startswith((".", "without an extension"))


def skipped_files(*sources: Source) -> Counter[str]:
    """The files that listings left out, counted by kind; files of the same root count once."""
    counts: Counter[str] = Counter()
    for source in {source.root: source for source in sources}.values():
        counts.update(source.skipped)
    return counts


def in_words(skipped: Mapping[str, int]) -> str:
    """Counts of files by kind on one line, the largest first."""
    first = Counter(skipped).most_common(_MOST_KINDS)
    kinds = [f"{count:,} {shown(kind)}" for kind, count in first]
    more = sum(skipped.values()) - sum(count for _, count in first)
    return ", ".join([*kinds, f"{more:,} others"] if more else kinds)
