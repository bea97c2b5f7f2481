"""The lists of Pascal VOC, which assign pictures to splits."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from collections import defaultdict

import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.datasets.files import Files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.storage.locations import join, shown

YEAR = r"((?:[^/]+/){0,2}?)"
"""Pattern of the folders above a year's own."""
_SPLITS = ("train", "val", "test")
_LIST = re.compile(rf"{YEAR}ImageSets/Main/(train|val|trainval|test)\.txt\Z")


def picture_splits(files: Files, wanted: pa.Array, options: DatasetOptions) -> pa.Array | None:
    """The split of each picture, null outside all lists; None where there are no lists.

    `trainval.txt` alone is train; beside train or val it adds nothing.

    Args:
        wanted: the annotation file of each picture.

    Raises:
        SourceError: a name in a list has no picture, or is in two splits.
    """
    lists = _lists(files)
    splits = pa.nulls(len(wanted), pa.string())
    for name, split in lists:
        url, year = join(files.root, name), name[: name.index("ImageSets/Main/")]
        # The lists name pictures; here each stands for its annotation file.
        listed = Keys(f"{year}Annotations/{line}.xml" for line in options.read_list(url))
        missing = listed.without(Keys(wanted))
        if missing:
            raise options.fault(
                f"{shown(url)} lists {shown(_stem(missing[0]))}, which has no picture in "
                "JPEGImages: put it there, or remove the line"
            )
        inside = pc.is_in(wanted, value_set=listed.array)
        both = wanted.filter(pc.and_(inside, splits.is_valid()))
        if len(both):
            raise options.fault(
                f"{shown(url)} lists {shown(_stem(both[0].as_py()))}, which is in another split "
                "too: a picture belongs to one, remove it from the others"
            )
        splits = pc.if_else(inside, split, splits)
    return splits if lists else None


def _lists(files: Files) -> list[tuple[str, str]]:
    """The lists of every year, each with its split."""
    years: dict[str, dict[str, str]] = defaultdict(dict)
    for name in files.ending(".txt").matching(rf"{YEAR}ImageSets/Main/").names:
        match = _LIST.match(name)
        if match:
            years[match[1]][match[2]] = name
    for lists in years.values():
        both = lists.pop("trainval", None)
        if both and not lists.keys() & {"train", "val"}:
            lists["train"] = both
    return [(lists[s], s) for lists in years.values() for s in _SPLITS if s in lists]


def _stem(annotation: str) -> str:
    return annotation.partition("Annotations/")[2].removesuffix(".xml")
