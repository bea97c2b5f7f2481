"""Checks of COCO annotation files: pictures and PNGs exist, and ids refer to each other."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import numpy as np
import pyarrow.compute as pc

from styleid_ray.datasets.coco.annotations import Annotations, ImageIndex
from styleid_ray.datasets.coco.files import AnnotationFile
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import shown


def folder_of(annotations: Annotations, counts: Mapping[str, int], total: int) -> str:
    """The folder with the most of a file's pictures.

    Args:
        counts: pictures in each folder that may hold them.
        total: pictures of the file.
    """
    whole = [folder for folder, count in counts.items() if count == total]
    if len(whole) > 1:
        raise annotations.fault(
            f"names pictures that lie both in {_in_words(whole)}: remove one of these folders, or "
            "put the folder's name into each file_name"
        )
    best = max(counts, key=lambda folder: counts[folder])
    if not counts[best]:
        raise annotations.fault(
            f"names pictures, and none of them is in {_in_words(counts, 'nor')}: put them into one "
            "of these folders, or choose others with --splits or --annotations"
        )
    return best


def check_exist(annotations: Annotations, keys: Keys, existing: Keys) -> None:
    """Raises SourceError where pictures are not among the existing files."""
    missing = keys.without(existing)
    if missing:
        raise annotations.fault(
            f"names {len(missing):,} pictures that do not exist: {missing.first_few()}; add them, "
            "or remove them from its images"
        )


def check_once(annotations: Annotations, keys: Keys, index: ImageIndex) -> None:
    """Raises SourceError where a file lists one picture as two images."""
    counts = pc.value_counts(keys.array)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        key = twice[0]["values"]
        first, second, *_ = np.flatnonzero(pc.equal(keys.array, key).to_numpy(False))
        raise annotations.fault(
            f"has the picture {shown(key.as_py())} twice, as image {index.ids[first]} and image "
            f"{index.ids[second]}: make them one"
        )


def checked_pngs(annotations: Annotations, index: ImageIndex) -> Keys:
    """The PNGs of panoptic annotations; checks the images and categories of all annotations."""
    categories = annotations.categories()
    seen = np.zeros(len(index.ids), bool)

    def names() -> Iterator[str]:
        for image, record in annotations.placed(index):
            annotations.check(record, categories)
            if "segments_info" in record:
                if seen[image]:
                    raise annotations.fault(
                        f"has two panoptic annotations of image {record['image_id']}: keep one"
                    )
                seen[image] = True
                yield str(record.get("file_name"))

    return Keys(names())


def check_pngs(
    annotations: Annotations, names: Keys, file: AnnotationFile, options: DatasetOptions
) -> None:
    """Raises SourceError where PNGs of panoptic annotations do not exist."""
    for folder in file.png_folders:
        try:
            existing = list_files(folder, options.what, options.storage_options).names
        except SourceError as error:
            if "does not exist" not in error.message:  # one of the two is enough
                raise
            continue
        missing = names.without(existing)
        if not missing:
            return
        raise annotations.fault(
            f"names {len(missing):,} panoptic PNGs that are not in {shown(folder)}: "
            f"{missing.first_few()}; add them"
        )
    folders = " nor in ".join(map(shown, file.png_folders))
    raise annotations.fault(f"is panoptic, and its PNGs are neither in {folders}: put them there")


def _in_words(folders: Iterable[str], between: str = "and") -> str:
    *first, last = (folder or "the root" for folder in folders)
    return f" {between} ".join(chain([", ".join(first)] if first else [], [last]))
