"""One annotation file of COCO, read in passing: memory does not grow with its annotations."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import ijson
import numpy as np
from ijson.common import ObjectBuilder

from styleid_ray.datasets.coco.index import ImageIndex, number_of
from styleid_ray.datasets.keys import Keys
from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import ATTEMPTS, reason, retrying
from styleid_ray.storage.locations import Options, local_path, open_filesystem, shown

_BATCH = 4096
_LISTS = ("images", "annotations")
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}

Record = dict[str, Any]
Fault = Callable[[str], SourceError]


@dataclass(frozen=True)
class Summary:
    """The part of an annotation file that concerns all pictures."""

    header: Mapping[str, Any]
    """Its fields except for images and annotations: info, licenses, categories ..."""
    fields: frozenset[str]
    """Names of the fields that its annotations have."""

    @property
    def categories(self) -> Sequence[Record]:
        """Its categories; none where it has no list of them."""
        categories = self.header.get("categories")
        return categories if isinstance(categories, list) else []

    @property
    def captions(self) -> bool:
        """Whether it holds captions, which are true of a picture of any size."""
        return "caption" in self.fields and not self.fields & {"bbox", "segmentation", "keypoints"}

    @property
    def panoptic(self) -> bool:
        """Whether each picture has a PNG of segments."""
        return "segments_info" in self.fields


@dataclass(frozen=True)
class Annotations:
    """An annotation file on this machine's disk. Anything wrong in it is raised as a SourceError
    that names the file, and the image or annotation by its id."""

    path: str
    fault: Fault = field(repr=False)
    """Makes the error of a message."""

    def images(self) -> Iterator[Record]:
        """The records of its images."""
        return self._records("images")

    def annotations(self) -> Iterator[Record]:
        """The records of its annotations."""
        return self._records("annotations")

    def index(self) -> ImageIndex:
        """The ids and names of its images, at least one."""
        ids = array("q")

        def names() -> Iterator[str]:
            for record in self.images():
                ids.append(self._number(record.get("id"), "an image has the id"))
                yield self._name(record)

        keys = Keys(names())
        index = ImageIndex(np.array(ids, np.int64), keys)
        if not len(ids):
            raise self.fault(
                "has no images, so it is no COCO annotation file: choose some with --annotations, "
                "or read the pictures alone with --content-format folder"
            )
        self._check_ids(index)
        return index

    def placed(self, index: ImageIndex) -> Iterator[tuple[int, Record]]:
        """Its annotations, each with the number of its image in the file."""
        records = self.annotations()
        while batch := list(islice(records, _BATCH)):
            indices = index.indices(np.array(list(map(self._image_id, batch)), np.int64))
            for image, record in zip(indices.tolist(), batch, strict=True):
                if image < 0:
                    raise self.fault(
                        f"annotation {record.get('id')} is of image {record['image_id']}, which is "
                        "not in its images: remove the annotation, or add the image"
                    )
                yield image, record

    def categories(self) -> dict[int, str]:
        """The names of its categories by their ids."""
        names: dict[int, str] = {}
        for record in self._records("categories"):
            number = self._number(record.get("id"), "a category has the id")
            if not isinstance(record.get("name"), str):
                raise self.fault(f"category {record['id']} has no name: give it one")
            if number in names:
                raise self.fault(f"two categories have the id {record['id']}: give one another")
            names[number] = record["name"]
        return names

    def check(self, record: Record, categories: Mapping[int, str]) -> None:
        """Raises SourceError when the category of an annotation, or of a segment of it, is none of
        the file's."""
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
        """Everything but images and annotations."""
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

    def _records(self, name: str) -> Iterator[Record]:
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

    def _check_ids(self, index: ImageIndex) -> None:
        twice = np.flatnonzero(np.diff(index.sorted_ids) == 0)
        if len(twice):
            first, second = index.order[twice[0]], index.order[twice[0] + 1]
            raise self.fault(
                f"the images {shown(index.names[int(first)])} and "
                f"{shown(index.names[int(second)])} have the same id, {index.ids[first]}: give "
                "one another, also in its annotations"
            )

    def _name(self, record: Record) -> str:
        if isinstance(name := record.get("file_name"), str) and name:
            return name
        raise self.fault(f"image {record['id']} has no file_name: give it one")

    def _image_id(self, record: Record) -> int:
        who = f"annotation {record.get('id')} has the image_id"
        return self._number(record.get("image_id"), who)

    def _number(self, value: Any, who: str) -> int:
        number = number_of(value)
        if number is None:
            raise self.fault(f"{who} {value!r:.50}: ids are whole numbers or texts")
        return number


@contextmanager
def opened(url: str, options: Options, fault: Fault) -> Iterator[Annotations]:
    """An annotation file, for as many passes as are needed: one that lies elsewhere is copied to
    this machine's disk for as long.

    Args:
        url: absolute path, or URL.
        options: what the filesystem is opened with.
        fault: makes the error of a message.
    """

    def named(message: str) -> SourceError:
        return fault(f"{shown(url)} {message}")

    path = local_path(url)
    if path is not None:
        yield Annotations(path, named)
        return
    with tempfile.TemporaryDirectory(prefix="styleid-ray-") as folder:
        copy = os.path.join(folder, "annotations.json")
        try:
            filesystem, remote = open_filesystem(url, options)
            for attempt in retrying(ATTEMPTS):
                with attempt:
                    filesystem.get_file(remote, copy)
        except Exception as error:  # each filesystem has its own errors
            message = f"cannot be read ({reason(error, options)}): check the address"
            raise named(f"{message} and the credentials") from error
        yield Annotations(copy, named)


def _first_line(error: Exception) -> str:
    text = str(error).removeprefix("b'").replace("\\n", "\n").strip()
    line = (text.splitlines() or ["damaged"])[0]
    if "invalid char" in line:
        return f"{line.rstrip('.')}; NaN and Infinity are not JSON"
    return f"{line}; whole numbers end below 2**63" if "integer overflow" in line else line
