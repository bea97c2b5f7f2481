"""One annotation file of COCO, streamed: memory does not grow with its annotations."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Any

import ijson
import numpy as np
import pyarrow as pa
from ijson.common import ObjectBuilder

from styleid_ray.datasets.keys import Keys, first_repeated
from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import reason
from styleid_ray.storage.locations import shown

_BATCH = 2**14
_LISTS = ("images", "annotations")
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}

Record = dict[str, Any]
Fault = Callable[[str], SourceError]


@dataclass(frozen=True)
class ImageIndex:
    """The images of an annotation file by their ids, at least one."""

    ids: np.ndarray
    """The number of each image's id (`number_of`), int64 [I]."""
    names: Keys
    """The file_name of each."""

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.ids, kind="stable")

    def indices(self, ids: Sequence[int]) -> list[int]:
        """The index of the image with each id; -1 for an unknown id."""
        numbers = np.array(ids, np.int64)
        at = np.searchsorted(self.ids, numbers, sorter=self._order)
        indices = self._order[np.minimum(at, len(self.ids) - 1)]
        return np.where(self.ids[indices] == numbers, indices, -1).tolist()


def number_of(value: Any) -> int | None:
    """An id as a number: a whole number itself, a text by its hash; None for any other value."""
    if isinstance(value, str):
        return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), signed=True)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class Summary:
    """The part of an annotation file that concerns all pictures."""

    header: Mapping[str, Any]
    """The file's fields except images and annotations: info, licenses, categories ..."""
    fields: frozenset[str]
    """Names of the fields of its annotations."""

    @property
    def categories(self) -> Sequence[Record]:
        """The file's categories; none where it has no list of them."""
        categories = self.header.get("categories")
        return categories if isinstance(categories, list) else []

    @property
    def captions(self) -> bool:
        """Whether it holds only captions, which are valid for a picture of any size."""
        return "caption" in self.fields and not self.fields & {"bbox", "segmentation", "keypoints"}

    @property
    def panoptic(self) -> bool:
        """Whether each picture has a PNG of segments."""
        return "segments_info" in self.fields


@dataclass(frozen=True)
class Annotations:
    """An annotation file on this machine's disk. Each fault in it raises a SourceError that names
    the file, and the image or annotation by its id."""

    path: str
    fault: Fault = field(repr=False)
    """Returns the error with a message."""

    def index(self) -> ImageIndex:
        """The ids and names of the images, at least one."""
        ids = array("q")

        def names() -> Iterator[str]:
            for record in self.records("images"):
                ids.append(self._number(record.get("id"), "an image has the id"))
                name = record.get("file_name")
                if not isinstance(name, str) or not name:
                    raise self.fault(f"image {record['id']} has no file_name: give it one")
                yield name

        keys = Keys(names())
        index = ImageIndex(np.array(ids, np.int64), keys)
        if not len(ids):
            raise self.fault(
                "has no images, so it is no COCO annotation file: choose some with --annotations, "
                "or read the pictures alone with --content-format folder"
            )
        if twice := first_repeated(pa.array(index.ids)):
            first, second = twice
            raise self.fault(
                f"the images {shown(keys[first])} and {shown(keys[second])} have the same id, "
                f"{ids[first]}: give one of them another id, also in its annotations"
            )
        return index

    def placed(self, index: ImageIndex) -> Iterator[tuple[int, Record]]:
        """The annotations, each with the index of its image."""
        records = self.records("annotations")
        while batch := list(islice(records, _BATCH)):
            indices = index.indices([*map(self._image_id, batch)])
            for image, record in zip(indices, batch, strict=True):
                if image < 0:
                    raise self.fault(
                        f"annotation {record.get('id')} is of image {record['image_id']}, which is "
                        "not in its images: remove the annotation, or add the image"
                    )
                yield image, record

    def categories(self) -> dict[int, str]:
        """The names of the categories by their ids."""
        names: dict[int, str] = {}
        for record in self.records("categories"):
            number = self._number(record.get("id"), "a category has the id")
            if not isinstance(record.get("name"), str):
                raise self.fault(f"category {record['id']} has no name: give it one")
            if number in names:
                raise self.fault(f"two categories have the id {record['id']}: change one")
            names[number] = record["name"]
        return names

    def check(self, record: Record, categories: Mapping[int, str]) -> None:
        """Raises SourceError when an annotation or one of its segments has an unknown category."""
        segments = record.get("segments_info", [])
        who = f"annotation {record.get('id', '')} of image {record['image_id']}".replace("  ", " ")
        if not isinstance(segments, list) or not all(isinstance(one, dict) for one in segments):
            raise self.fault(f"{who} has segments_info that is no list of objects: repair it")
        for one in (record, *segments):
            category = one.get("category_id")
            if category is not None and number_of(category) not in categories:
                raise self.fault(
                    f"{who} is of category {category}, which is not in its categories: add it there"
                )

    def summary(self) -> Summary:
        """Everything except images and annotations."""
        header: dict[str, Any] = {}
        fields: set[str] = set()
        depth, name, builder = 0, "", None
        with self._stream() as (file, config):
            for event, value in ijson.basic_parse(file, **config):
                if depth == 1 and event == "map_key":
                    name, builder = value, None if value in _LISTS else ObjectBuilder()
                    continue
                depth += _DEPTH.get(event, 0)
                if builder is not None:
                    builder.event(event, value)
                    if depth == 1:
                        header[name], builder = builder.value, None
                elif depth == 3 and event == "map_key" and name == "annotations":
                    fields.add(value)
        return Summary(header, frozenset(fields))

    def records(self, name: str) -> Iterator[Record]:
        """The records of a list of the file, such as images."""
        with self._stream() as (file, config):
            for record in ijson.items(file, f"{name}.item", **config):
                if not isinstance(record, dict):
                    raise self.fault(f"has {name} that are no objects: it is not a COCO file")
                yield record

    @contextmanager
    def _stream(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        try:
            with open(self.path, "rb") as file:
                yield file, {"use_float": True}
        except ijson.JSONError as error:
            raise self.fault(f"is not valid JSON ({_first_line(error)}): repair it") from error
        except OSError as error:
            raise self.fault(f"cannot be read ({reason(error)}): check the path") from error

    def _image_id(self, record: Record) -> int:
        who = f"annotation {record.get('id')} has the image_id"
        return self._number(record.get("image_id"), who)

    def _number(self, value: Any, who: str) -> int:
        number = number_of(value)
        if number is None:
            raise self.fault(f"{who} {value!r:.50}: ids are whole numbers or texts")
        return number


def _first_line(error: Exception) -> str:
    text = str(error).removeprefix("b'").replace("\\n", "\n").strip()
    line = (text.splitlines() or ["damaged"])[0]
    if "invalid char" in line:
        return f"{line.rstrip('.')}; NaN and Infinity are not JSON"
    return f"{line}; whole numbers end below 2**63" if "integer overflow" in line else line
