"""Pascal VOC: pictures in `JPEGImages/`, an XML file of `Annotations/` for each, splits and class
lists in `ImageSets/Main/`, masks in `SegmentationClass/` and `SegmentationObject/`.

All of them lie at the top of the location or up to two folders below it (`VOCdevkit/VOC2012/`),
where several years may lie side by side.
"""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Label
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import with_splits
from styleid_ray.datasets.voc.lists import YEAR, picture_splits
from styleid_ray.datasets.voc.writer import MASKS
from styleid_ray.datasets.voc.xml import Annotation
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, join, shown
from styleid_ray.storage.store import Store

_PICTURE = rf"{YEAR}JPEGImages/((?s:.*))\.[^./]*"
_ANNOTATION = rf"{YEAR}Annotations/(?s:.*)\.xml$"
_CLASS_LIST = rf"{YEAR}ImageSets/Main/(?s:.*)_(train|val|trainval|test)\.txt$"
_KEY = re.compile(rf"{_PICTURE}\Z")

_FEATURES: Mapping[str, Any] = {
    "objects": [
        {
            "bbox": {
                "feature": {"dtype": "float64", "_type": "Value"},
                "length": 4,
                "_type": "Sequence",
            },
            "category": {"dtype": "string", "_type": "Value"},
            "difficult": {"dtype": "bool", "_type": "Value"},
            "truncated": {"dtype": "bool", "_type": "Value"},
            "pose": {"dtype": "string", "_type": "Value"},
        }
    ]
}


def recognises(files: Files) -> bool:
    """Whether there are pictures in `JPEGImages/` and XML files in `Annotations/`."""
    xml = files.ending(".xml").matching(_ANNOTATION).names
    return bool(len(xml)) and bool(len(files.matching(rf"{YEAR}JPEGImages/").names))


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures that have an annotation file, in the splits of `ImageSets/Main/`.

    Where there are such lists, pictures in none of them are left out. `trainval.txt` alone is
    train.

    Raises:
        SourceError: an annotation file or a name in a list has no picture, two pictures share an
            annotation file, or a picture is in two splits.
    """
    pictures = files.ending(*picture_extensions()).matching(rf"{YEAR}JPEGImages/")
    xml = files.ending(".xml").matching(_ANNOTATION).names.array
    wanted = _annotation_names(pictures.names.array)
    _check_distinct(wanted, pictures, options)
    _check_pictures(xml, wanted, files, options)
    splits = picture_splits(files, wanted, options)
    annotated = pc.is_in(wanted, value_set=xml)
    taken = annotated if splits is None else pc.and_(annotated, splits.is_valid())
    if not taken.true_count:
        raise options.fault(
            f"{shown(files.url)} has no picture that has an annotation and is in a list of "
            "ImageSets/Main: each picture JPEGImages/NAME needs Annotations/NAME.xml"
        )
    listed = Source(
        files.root,
        pictures.names,
        dict(options.storage_options or {}),
        versions=pictures.versions if any(pictures.versions) else None,
        skipped=Counter(files.nameless) + _left_out(annotated, taken),
    )
    if splits is not None:
        listed = with_splits(listed, pc.fill_null(splits, ""))
    return listed.only(taken.to_numpy(zero_copy_only=False))


def labels(options: DatasetOptions, contents: Source) -> VocLabels:
    """The annotation files and masks of a run's contents."""
    files = list_files(contents.root, options.what, options.storage_options)
    masks = files.ending(".png").matching(rf"{YEAR}(?:{'|'.join(MASKS)})/").names
    class_lists = bool(len(files.ending(".txt").matching(_CLASS_LIST).names))
    return VocLabels(contents.root, options.storage_options, masks, class_lists)


@dataclass(frozen=True)
class VocLabels:
    """An annotation file for each picture, and the masks that some have."""

    root: str
    storage_options: Options = field(repr=False)
    masks: Keys = field(repr=False)
    """Names of all mask files below the root."""
    class_lists: bool
    """Whether the dataset lists its pictures by class: `dog_train.txt`."""
    format = "voc"
    geometry = True

    @property
    def features(self) -> Mapping[str, Any]:
        """The objects, and the masks where there are any."""
        masks = MASKS if len(self.masks) else ()
        return {**_FEATURES, **{name: {"_type": "Image"} for name in masks}}

    @property
    def header(self) -> Mapping[str, Any]:
        """Whether there are class lists; the names of the classes are listed nowhere."""
        return {"class_lists": self.class_lists}

    def prepared(self, work: Store) -> VocLabels:
        """Every picture has files of its own."""
        return self

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        """The annotations of some pictures; raises SourceError when one is missing or damaged."""
        names = [_beside(key, folder, "png") for key in keys for folder in MASKS]
        existing = pc.is_in(pa.array(names, pa.string()), value_set=self.masks.array).to_pylist()
        masks = {name for name, exists in zip(names, existing, strict=True) if exists}
        return list(in_threads(lambda key: self._one(key, masks), keys))

    def _one(self, key: str, masks: set[str]) -> Label:
        name = _beside(key, "Annotations", "xml")
        files = {"xml": self._file(name)}
        for folder in MASKS:
            mask = _beside(key, folder, "png")
            if mask in masks:
                files[f"{folder}.png"] = self._file(mask)
        try:
            annotation = Annotation(files["xml"])
        except ValueError as error:
            raise self._fault(name, f"it is damaged ({error}): repair it") from error
        return Label({"objects": annotation.objects}, files, size=annotation.size)

    def _file(self, name: str) -> bytes:
        try:
            return read_bytes(join(self.root, name), self.storage_options)
        except RowError as error:
            raise self._fault(name, f"{error}") from error

    def _fault(self, name: str, message: str) -> SourceError:
        return SourceError(f"--content: {shown(join(self.root, name))}: {shown(message)}")


def _annotation_names(pictures: pa.Array) -> pa.Array:
    """The annotation file that each picture of `JPEGImages/` should have."""
    return pc.replace_substring_regex(
        pictures, pattern=rf"\A{_PICTURE}\z", replacement=r"\1Annotations/\2.xml"
    )


def _left_out(annotated: pa.BooleanArray, taken: pa.BooleanArray) -> Counter[str]:
    return Counter(
        {
            "pictures without an annotation": annotated.false_count,
            "pictures in no list of ImageSets/Main": annotated.true_count - taken.true_count,
        }
    )


def _beside(key: str, folder: str, extension: str) -> str:
    """The file of a picture in another folder of its year."""
    match = _KEY.match(key)
    assert match, key
    return f"{match[1]}{folder}/{match[2]}.{extension}"


def _check_distinct(wanted: pa.Array, pictures: Files, options: DatasetOptions) -> None:
    counts = pc.value_counts(wanted)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        both = pictures.names.array.filter(pc.equal(wanted, twice[0])).to_pylist()
        raise options.fault(
            f"{shown(both[0])} and {shown(both[1])} share the annotation file "
            f"{shown(twice[0].as_py())}: remove or rename one of the pictures"
        )


def _check_pictures(xml: pa.Array, wanted: pa.Array, files: Files, options: DatasetOptions) -> None:
    alone = xml.filter(pc.invert(pc.is_in(xml, value_set=wanted)))
    if len(alone):
        name = alone[0].as_py()
        picture = re.sub(r"^(.*?)Annotations/(.*)\.xml$", r"\1JPEGImages/\2", name, flags=re.DOTALL)
        more = f" (and {len(alone) - 1:,} more like it)" if len(alone) > 1 else ""
        raise options.fault(
            f"{shown(join(files.root, name))} has no picture {shown(picture)}.jpg{more}: put the "
            "picture there, or remove the XML file"
        )
