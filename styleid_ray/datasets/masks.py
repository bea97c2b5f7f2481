"""Masks: a picture of classes or strengths per content, with the same name in another folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from styleid_ray.arrow import pc
from styleid_ray.datasets.features import IMAGE_FEATURE
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Label, Labels, WithColumns
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.decode import upright_size
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, absolute, join, local_path, shown

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
        option: the option that gives the folder, such as "masks".
        storage_options: options of the filesystem.
        names: of the masks, one per content; by default their `mask_name`.
    """
    path = local_path(url)
    if path is not None and os.path.isfile(absolute(path)):
        raise SourceError(f"--{option}: {shown(url)} is a file: name the folder of the masks")
    files = list_files(url, option, storage_options)
    keys = Keys(contents.keys)
    masks = Keys(map(mask_name, keys) if names is None else names)
    absent = pc.invert(pc.is_in(masks.array, files.names.array))
    missing = Keys(keys.array.filter(absent))
    if missing:
        first = masks.array.filter(absent)[0].as_py()
        raise SourceError(
            f"--{option}: {shown(url)} has no mask for {missing.first_few()}: a mask has the "
            "relative name of its content with the extension .png, or the name in a table's column "
            f"mask, here {shown(first)}"
        )


def mask_source(url: str, storage_options: Options) -> Source:
    """The folder of masks as a source; the key of a content's mask is its `mask_name`."""
    path = local_path(url)
    return Source(url if path is None else absolute(path), (), dict(storage_options or {}))


def mask_name(key: str) -> str:
    """The name of a content's mask in the folder of masks."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}.png"


def with_masks(labels: Labels, options: DatasetOptions) -> MaskedLabels:
    """Labels with the masks beside them."""
    root = mask_source(options.label_masks or "", options.storage_options).root
    return MaskedLabels(labels, {"mask": IMAGE_FEATURE}, root, options.storage_options)


@dataclass(frozen=True)
class MaskedLabels(WithColumns):
    """Labels with a mask per picture, an unchanged file."""

    root: str
    storage_options: Options

    @property
    def geometry(self) -> bool:
        return True

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
    """The picture size that labels and mask were made for, by the mask where labels lack it."""
    if label.size is not None:
        return label.size
    try:
        return upright_size(mask, _MOST_PIXELS)
    except RowError:  # the file is copied unchanged, whatever it is
        return None
