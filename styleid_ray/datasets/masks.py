"""Masks: a picture of classes or of strengths per content, in a folder of its own, with the same
name."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.decode import upright_size
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, absolute, join, local_path, shown
from styleid_ray.storage.store import Store

_MOST_NAMED = 3
_MOST_PIXELS = 2**30


def check_masks(contents: Source, options: DatasetOptions) -> None:
    """Raises SourceError where contents have no label mask; the message names the first of them."""
    assert options.label_masks
    check_all_masked(contents, options.label_masks, "label-masks", options.storage_options)


def check_all_masked(
    contents: Source,
    url: str,
    option: str,
    storage_options: Options,
    names: Sequence[str] | None = None,
) -> None:
    """Raises SourceError where contents have no mask; the message names the first of them.

    Args:
        contents: with their keys.
        url: folder of the masks.
        option: that names it, such as "masks".
        storage_options: what its filesystem is opened with.
        names: of the masks, one per content; by default their `mask_name`.
    """
    path = local_path(url)
    if path is not None and os.path.isfile(absolute(path)):
        raise SourceError(f"--{option}: {shown(url)} is a file: name the folder of the masks")
    files = list_files(url, option, storage_options)
    keys = Keys(contents.keys)
    masks = Keys(map(mask_name, keys) if names is None else names)
    absent = pc.invert(pc.is_in(masks.array, files.names.array))
    missing = keys.array.filter(absent).to_pylist()
    if missing:
        more = len(missing) - _MOST_NAMED
        some = ", ".join(map(shown, missing[:_MOST_NAMED])) + f" and {more} more" * (more > 0)
        first = masks.array.filter(absent)[0].as_py()
        raise SourceError(
            f"--{option}: {shown(url)} has no mask for {some}: a mask has the relative name of its "
            f"content and ends in .png, or the name in a table's column mask, here {shown(first)}"
        )


def mask_source(url: str, storage_options: Options) -> Source:
    """The place of masks; the key of a content's mask is its `mask_name`."""
    path = local_path(url)
    return Source(url if path is None else absolute(path), (), dict(storage_options or {}))


def mask_name(key: str) -> str:
    """The name of a content's mask below the folder of masks."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}.png"


def with_masks(labels: Labels, options: DatasetOptions) -> MaskedLabels:
    """Labels with the masks beside them."""
    root = mask_source(options.label_masks or "", options.storage_options).root
    return MaskedLabels(labels, root, options.storage_options)


@dataclass(frozen=True)
class MaskedLabels:
    """Labels, and a mask per picture: its file unchanged."""

    inner: Labels
    root: str
    storage_options: Options
    geometry = True

    @property
    def format(self) -> str:
        """That of the labels."""
        return self.inner.format

    @property
    def features(self) -> Mapping[str, Any]:
        """Those of the labels, and the mask as an image."""
        return {**self.inner.features, "mask": {"_type": "Image"}}

    @property
    def header(self) -> Mapping[str, Any]:
        """That of the labels."""
        return self.inner.header

    def prepared(self, work: Store) -> MaskedLabels:
        """The same with its labels prepared."""
        return replace(self, inner=self.inner.prepared(work))

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        """Labels with masks; raises SourceError when a mask cannot be read."""
        masks = in_threads(self._mask, keys)
        return [
            replace(label, files={**label.files, "mask.png": mask}, size=_size(label, mask))
            for label, mask in zip(self.inner.read(keys, places), masks, strict=True)
        ]

    def _mask(self, key: str) -> bytes:
        url = join(self.root, mask_name(key))
        try:
            return read_bytes(url, self.storage_options)
        except RowError as error:
            raise SourceError(f"--label-masks: {shown(url)}: {error}") from error


def _size(label: Label, mask: bytes) -> tuple[int, int] | None:
    """The size that labels and mask were made for, by the mask where the labels have none."""
    if label.size is not None:
        return label.size
    try:
        return upright_size(mask, _MOST_PIXELS)
    except RowError:  # any file is copied unchanged
        return None
