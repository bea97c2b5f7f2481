"""Pascal VOC: pictures in `JPEGImages/`, an XML file in `Annotations/` for each, splits in
`ImageSets/Main/`, masks in `SegmentationClass/` and `SegmentationObject/`.

These folders lie at the top of the location or up to two folders below it (`VOCdevkit/VOC2012/`),
where several years may lie side by side.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.features import IMAGE_FEATURE, sequence_feature, value_feature
from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.keys import Keys, first_repeated
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.voc.writer import MASKS
from styleid_ray.datasets.voc.xml import Annotation
from styleid_ray.errors import RowError, SourceError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, join, shown

_YEAR = r"((?:[^/]+/){0,2}?)"
"""Pattern of the folders above a year's own."""
_SPLITS = ("train", "val", "test")
_LIST = re.compile(rf"{_YEAR}ImageSets/Main/(train|val|trainval|test)\.txt\Z")
_PICTURE = rf"{_YEAR}JPEGImages/((?s:.*))\.[^./]*"
_ANNOTATION = rf"{_YEAR}Annotations/(?s:.*)\.xml$"

_FEATURES: Mapping[str, Any] = {
    "objects": [
        {
            "bbox": sequence_feature(value_feature("float64"), 4),
            "category": value_feature("string"),
            "difficult": value_feature("bool"),
            "truncated": value_feature("bool"),
            "pose": value_feature("string"),
        }
    ]
}


def recognises(files: Files) -> bool:
    """Whether there are pictures in `JPEGImages/` and XML files in `Annotations/`."""
    xml = files.ending(".xml").matching(_ANNOTATION).names
    return all(map(len, (xml, files.matching(rf"{_YEAR}JPEGImages/").names)))


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures that have an annotation file, in the splits of `ImageSets/Main/`.

    Where there are lists, pictures in none of them are left out. `trainval.txt` alone is train.

    Raises:
        SourceError: an annotation file or a name in a list has no picture, two pictures share an
            annotation file, or a picture is in two splits.
    """
    pictures = files.pictures().matching(rf"{_YEAR}JPEGImages/")
    xml = files.ending(".xml").matching(_ANNOTATION).names.array
    wanted = _beside(pictures.names.array, "Annotations", "xml")
    _check_distinct(wanted, pictures, options)
    _check_pictures(xml, wanted, files, options)
    splits = _picture_splits(files, wanted, options)
    annotated = pc.is_in(wanted, value_set=xml)
    taken = annotated if splits is None else pc.and_(annotated, splits.is_valid())
    if not taken.true_count:
        raise options.fault(
            f"{shown(files.url)} has no picture with an annotation in a list of ImageSets/Main: "
            "each picture JPEGImages/NAME needs Annotations/NAME.xml"
        )
    left_out = {
        "pictures without an annotation": annotated.false_count,
        "pictures in no list of ImageSets/Main": annotated.true_count - taken.true_count,
    }
    listed = pictures.as_source(
        options.storage_options,
        Counter(files.nameless) + Counter(left_out),
        None if splits is None else Keys(pc.fill_null(splits, "")),
    )
    return listed.only(taken.to_numpy(zero_copy_only=False))


def labels(options: DatasetOptions, contents: Source) -> VocLabels:
    """The annotation files and masks of a run's contents."""
    files = list_files(contents.root, options.what, options.storage_options)
    masks = files.ending(".png").matching(rf"{_YEAR}(?:{'|'.join(MASKS)})/").names
    return VocLabels(contents.root, options.storage_options, masks)


@dataclass(frozen=True)
class VocLabels(Labels):
    """An annotation file for each picture, and masks for some."""

    root: str
    storage_options: Options = field(repr=False)
    masks: Keys = field(repr=False)
    """Names of all mask files below the root."""
    format = "voc"
    geometry = True

    @property
    def features(self) -> Mapping[str, Any]:
        return {**_FEATURES, **(dict.fromkeys(MASKS, IMAGE_FEATURE) if self.masks else {})}

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        pictures = pa.array(keys, pa.string())
        columns = [_beside(pictures, "Annotations", "xml").to_pylist()]
        for folder in MASKS:
            names = _beside(pictures, folder, "png")
            exists = pc.is_in(names, value_set=self.masks.array)
            columns.append(pc.if_else(exists, names, pa.scalar(None, pa.string())).to_pylist())
        return list(in_threads(self._one, list(zip(*columns, strict=True))))

    def _one(self, names: tuple[str, ...]) -> Label:
        """The label from an annotation file and masks; the name of a missing mask is None."""
        name, *masks = names
        files = {"xml": self._file(name)}
        for folder, mask in zip(MASKS, masks, strict=True):
            if mask:
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


def _picture_splits(files: Files, wanted: pa.Array, options: DatasetOptions) -> pa.Array | None:
    """The split of each picture, by its annotation file in `wanted`: null outside all lists; None
    where there are no lists. `trainval.txt` is ignored where there is a train or val list.

    Raises SourceError when a name in a list has no picture, or is in two splits.
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
    for name in files.ending(".txt").matching(rf"{_YEAR}ImageSets/Main/").names:
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


def _beside(pictures: pa.Array, folder: str, extension: str) -> pa.Array:
    """The file of each picture in another folder of its year."""
    return pc.replace_substring_regex(
        pictures, pattern=rf"\A{_PICTURE}\z", replacement=rf"\1{folder}/\2.{extension}"
    )


def _check_distinct(wanted: pa.Array, pictures: Files, options: DatasetOptions) -> None:
    if twice := first_repeated(wanted):
        first, second = (shown(pictures.names[index]) for index in twice)
        raise options.fault(
            f"{first} and {second} share the annotation file {shown(wanted[twice[0]].as_py())}: "
            "remove or rename one of the pictures"
        )


def _check_pictures(xml: pa.Array, wanted: pa.Array, files: Files, options: DatasetOptions) -> None:
    unpaired = Keys(xml).without(Keys(wanted))
    if unpaired:
        name = unpaired[0]
        picture = re.sub(r"^(.*?)Annotations/(.*)\.xml$", r"\1JPEGImages/\2", name, flags=re.DOTALL)
        more = f" (and {len(unpaired) - 1:,} more like it)" if len(unpaired) > 1 else ""
        raise options.fault(
            f"{shown(join(files.root, name))} has no picture {shown(picture)}.jpg{more}: put the "
            "picture there, or remove the XML file"
        )
