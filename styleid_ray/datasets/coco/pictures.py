"""The pictures that COCO's annotation files list, and their splits."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.datasets.coco.checks import (
    check_exist,
    check_once,
    check_pngs,
    checked_pngs,
    folder_of,
)
from styleid_ray.datasets.coco.files import (
    AnnotationFile,
    annotation_files,
    below,
    check_panoptic,
    is_coco,
    matches,
)
from styleid_ray.datasets.files import Files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import ALL_SPLITS, split_name
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.locations import shown

_UNLISTED = "pictures without an entry in the annotations"
_APART = r"(?:.*/)?(?:annotations|panoptic|masks)/"


def recognises(files: Files) -> bool:
    """Whether there are pictures, and annotation files in COCO's layout."""
    return is_coco(files) and len(files.ending(*picture_extensions()).names) > 0


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures that annotation files list, each in the split of its file.

    Raises:
        SourceError: an annotation file is damaged or names missing pictures, or a picture is in two
            splits.
    """
    annotated = annotation_files(files, options)
    listed = [one for file in annotated if (one := _listed(file, files, options))]
    if not listed:
        raise options.fault(f"{shown(files.url)} holds none of the pictures of its annotations")
    check_panoptic([one.file for one in listed if one.panoptic], options)
    keys, splits = _merged(listed, options)
    at = pc.index_in(keys.array, value_set=files.names.array)
    pictures = replace(files, names=keys, versions=files.versions.take(at))
    return pictures.as_source(options.storage_options, _skipped(files, keys), splits)


@dataclass(frozen=True)
class _Listed:
    """The keys of an annotation file's pictures."""

    file: AnnotationFile
    keys: Keys
    panoptic: bool


def _listed(file: AnnotationFile, files: Files, options: DatasetOptions) -> _Listed | None:
    """The pictures of a file; None where none of them exists and its split is not chosen."""
    with file.opened(options) as annotations:
        index = annotations.index()
        counts = matches(file, index.names, files.names)
        if not any(counts.values()) and _is_unwanted(file, options):
            return None
        keys = Keys(below(folder_of(annotations, counts, len(index.names)), index.names))
        check_exist(annotations, keys, files.names)
        check_once(annotations, keys, index)
        pngs = checked_pngs(annotations, index)
        if pngs:
            check_pngs(annotations, pngs, file, options)
    return _Listed(file, keys, bool(pngs))


def _is_unwanted(file: AnnotationFile, options: DatasetOptions) -> bool:
    wanted = {split_name(name) or name for name in options.splits}
    return bool(wanted) and options.splits != ALL_SPLITS and file.split not in wanted


def _merged(listed: list[_Listed], options: DatasetOptions) -> tuple[Keys, Keys | None]:
    """All keys in order, each once, and their splits."""
    table = pa.table(
        {
            "key": pa.concat_arrays([one.keys.array for one in listed]),
            "file": np.repeat(np.arange(len(listed)), [len(one.keys) for one in listed]),
        }
    ).sort_by([("key", "ascending"), ("file", "ascending")])
    keys, number = table["key"].combine_chunks(), table["file"].to_numpy()
    again = pc.equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False).astype(bool)
    names = [one.file.split for one in listed]
    codes = np.array([names.index(name) for name in names])[number]
    both = np.flatnonzero(again & (codes[1:] != codes[:-1]))
    if len(both):
        first, second = (shown(listed[number[both[0] + i]].file.url) for i in range(2))
        raise options.fault(
            f"the picture {shown(keys[int(both[0])].as_py())} is in two splits, by {first} and "
            f"{second}: leave it in one"
        )
    once = pa.array(np.concatenate([[True], ~again]))
    if names[0] is None:
        return Keys(keys.filter(once)), None
    return Keys(keys.filter(once)), Keys(pa.array(names, pa.string()).take(codes).filter(once))


def _skipped(files: Files, keys: Keys) -> Counter[str]:
    """Files other than contents, annotation files and masks, by kind."""
    pictures = files.ending(*picture_extensions())
    others = files.kinds() - pictures.kinds() - files.matching(rf"{_APART}|.*\.json\z").kinds()
    names = pictures.names.array
    listed = pc.or_(
        pc.is_in(names, value_set=keys.array),
        pc.match_substring_regex(names, rf"\A{_APART}"),
    )
    unlisted = pc.sum(pc.invert(listed)).as_py() or 0
    return others + Counter(files.nameless) + Counter({_UNLISTED: unlisted})
