"""The pictures that COCO's annotation files list, and their splits."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.coco.annotations import Annotations, ImageIndex
from styleid_ray.datasets.coco.files import (
    AnnotationFile,
    annotation_files,
    below,
    check_panoptic,
    is_coco,
    matches,
)
from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.keys import Keys, first_repeated
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import ALL_SPLITS, split_name
from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import shown

_UNLISTED = "pictures without an entry in the annotations"
_APART = r"(?:.*/)?(?:annotations|panoptic|masks)/"


def recognises(files: Files) -> bool:
    """Whether there are pictures, and annotation files in COCO's layout."""
    return is_coco(files) and bool(files.pictures().names)


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
        wanted = {split_name(name) or name for name in options.splits}
        chosen = not wanted or options.splits == ALL_SPLITS or file.split in wanted
        if not chosen and not any(counts.values()):
            return None
        keys = Keys(below(_folder_of(annotations, counts, len(index.names)), index.names))
        _check_exist(annotations, keys, files.names)
        _check_once(annotations, keys, index)
        pngs = _checked_pngs(annotations, index)
        if pngs:
            _check_pngs(annotations, pngs, file, options)
    return _Listed(file, keys, bool(pngs))


def _folder_of(annotations: Annotations, counts: Mapping[str, int], total: int) -> str:
    """The folder with the most of a file's pictures, by their counts in each; `total` is their
    number."""
    whole = [folder for folder, count in counts.items() if count == total]
    if len(whole) > 1:
        raise annotations.fault(
            f"lists pictures that lie in each of {_in_words(whole)}: remove one of these folders, "
            "or put the folder's name into each file_name"
        )
    best = max(counts, key=lambda folder: counts[folder])
    if not counts[best]:
        raise annotations.fault(
            f"lists pictures, none of which is in {_in_words(counts, 'or')}: put them into one of "
            "these folders, or choose others with --splits or --annotations"
        )
    return best


def _check_exist(annotations: Annotations, keys: Keys, existing: Keys) -> None:
    """Raises SourceError where pictures are not among the existing files."""
    missing = keys.without(existing)
    if missing:
        raise annotations.fault(
            f"names {len(missing):,} pictures that do not exist: {missing.first_few()}; add them, "
            "or remove them from its images"
        )


def _check_once(annotations: Annotations, keys: Keys, index: ImageIndex) -> None:
    """Raises SourceError where a file lists one picture as two images."""
    if twice := first_repeated(keys.array):
        first, second = index.ids[[*twice]].tolist()
        raise annotations.fault(
            f"has the picture {shown(keys[twice[0]])} twice, as image {first} and image {second}: "
            "make them one"
        )


def _checked_pngs(annotations: Annotations, index: ImageIndex) -> Keys:
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


def _check_pngs(
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
    folders = " nor ".join(map(shown, file.png_folders))
    raise annotations.fault(
        f"is panoptic, but its PNGs are in neither {folders}: put them in one of these"
    )


def _in_words(folders: Iterable[str], between: str = "and") -> str:
    *first, last = (folder or "the root" for folder in folders)
    return f" {between} ".join(chain([", ".join(first)] if first else [], [last]))


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
    pictures = files.pictures()
    others = files.kinds() - pictures.kinds() - files.matching(rf"{_APART}|.*\.json\z").kinds()
    unlisted = pictures.names.without(keys).array
    unlisted = pc.match_substring_regex(unlisted, rf"\A{_APART}").false_count
    return others + Counter(files.nameless) + Counter({_UNLISTED: unlisted})
