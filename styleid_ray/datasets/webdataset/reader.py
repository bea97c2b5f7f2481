"""Labels of WebDataset: the other members of a picture's sample."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from styleid_ray.datasets.containers import folder_name
from styleid_ray.datasets.features import IMAGE_FEATURE, value_feature
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.webdataset.samples import samples
from styleid_ray.errors import RowError, SourceError
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.locations import shown
from styleid_ray.storage.members import Range, container, fetch_range, member_of, sample_of
from styleid_ray.storage.tars import Hopping, TarError, members

_LOOKED_AT = 32
_AT_ONCE = 2**20
_PLAIN = {"cls", "txt", "text", "caption", "id", "url", "origin.json", "json"}
"""Label files without coordinates; the names in JSON decide for it."""
GEOMETRY = re.compile(
    r"(?:^|[^a-z])(?:b|bounding)?_?(?:box|mask|keypoint|landmark|segment|segmentation|polygon|contour"
    r"|skeleton|pose|depth|normal|object|annotation|point)(?:e?s)?(?![a-z])",
    re.IGNORECASE,
)
"""Names of fields with coordinates or masks."""


def labels(options: DatasetOptions, contents: Source) -> TarLabels:
    """The labels beside a run's contents, with the kinds of labels in some samples."""
    count = len(contents.keys)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(int)).tolist()
    place, places = contents.place, contents.places
    assert places is not None
    wanted = [(contents.keys[index], places[index]) for index in chosen]
    examples = list(in_threads(lambda one: _files(place, *one), wanted))
    return TarLabels(place, _features(examples), any(map(_has_geometry, examples)))


@dataclass(frozen=True)
class TarLabels(Labels):
    """All other members of a sample, byte for byte; columns from `cls`, `txt` and `json`."""

    place: Source
    """The source, for the locations of its keys."""
    features: Mapping[str, Any]
    geometry: bool
    format = "webdataset"

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        return list(in_threads(lambda one: self._label(*one), list(zip(keys, places, strict=True))))

    def _label(self, key: str, place: str | None) -> Label:
        files = _files(self.place, key, place)
        columns = {
            name: self._column(key, name, files.get(name))
            for name, feature in self.features.items()
            if feature["_type"] == "Value"
        }
        return Label(columns, files, folder_name(_text(files.get("cls", b""))))

    def _column(self, key: str, name: str, data: bytes | None) -> Any:
        if data is None:
            return None
        if self.features[name]["dtype"] == "string":
            return _text(data)
        number = _number(data)
        if number is None:
            raise SourceError(
                f"--content: {shown(key)}: its cls is {shown(_text(data)[:40])}, and a number in "
                "other samples: make all of them numbers or all texts"
            )
        return number


def _files(source: Source, key: str, place: str | None) -> dict[str, bytes]:
    """The label files of a picture's sample."""
    picture, where = member_of(place or ""), sample_of(place or "")
    assert isinstance(picture, Range)
    try:
        with _opened(source, key, where) as file:
            for sample in samples(members(file), Counter()):
                offsets = {m.data.offset: suffix for suffix, m in sample.members.items()}
                own = offsets.get(picture.offset - where.offset)
                if f"{container(key)}/{sample.name}.{own}" == key:
                    return {s: _read(file, m.data) for s, m in sample.members.items() if s != own}
        raise TarError("the tar has changed since it was planned")
    except (RowError, TarError) as error:
        raise SourceError(
            f"--content: the labels of {shown(key)} cannot be read ({shown(str(error))}): put back "
            "the tar that the run was planned with"
        ) from error


def _opened(source: Source, key: str, where: Range) -> BinaryIO:
    """The bytes of a sample as a tar; a large picture in it is skipped."""
    url, options = source.url(container(key)), source.storage_options

    def read(start: int, end: int) -> bytes:
        return fetch_range(url, options, Range(where.offset + start, end - start))

    if where.size <= _AT_ONCE:
        return io.BytesIO(read(0, where.size))
    return cast(BinaryIO, Hopping(read, where.size))


def _read(file: BinaryIO, where: Range) -> bytes:
    file.seek(where.offset)
    return file.read(where.size)


def _features(examples: Sequence[Mapping[str, bytes]]) -> dict[str, Any]:
    names = [name for name in ("cls", "json", "txt") if any(name in files for files in examples)]
    kinds = dict.fromkeys(names, "string")
    if "cls" in kinds and all(
        _number(files["cls"]) is not None for files in examples if "cls" in files
    ):
        kinds["cls"] = "int64"
    pictures = {stem for files in examples for stem in map(_picture_stem, files) if stem}
    return {
        **{name: value_feature(kind) for name, kind in kinds.items()},
        **dict.fromkeys(sorted(pictures - set(kinds)), IMAGE_FEATURE),
    }


def _picture_stem(suffix: str) -> str:
    """The name of a picture among label files, such as mask; '' for a file of another kind."""
    stem, _, extension = suffix.rpartition(".")
    return stem if f".{extension.lower()}" in picture_extensions() else ""


def _has_geometry(files: Mapping[str, bytes]) -> bool:
    if any(name.lower() not in _PLAIN for name in files):
        return True
    try:
        return has_geometry(json.loads(files.get("json", b"null")))
    except ValueError:
        return True  # its content is unknown


def has_geometry(value: Any) -> bool:
    """Whether a name in a JSON value is a word for coordinates or masks."""
    if isinstance(value, Mapping):
        names = any(GEOMETRY.search(str(name)) for name in value)
        return names or any(map(has_geometry, value.values()))
    return isinstance(value, list) and any(map(has_geometry, value[:_LOOKED_AT]))


def _number(data: bytes) -> int | None:
    text = data.strip()
    whole = text.removeprefix(b"-").isdigit() and len(text) < 19
    return int(text) if whole else None


def _text(data: bytes) -> str:
    """Text with bytes other than UTF-8 replaced: captions from the web may hold any bytes."""
    return data.decode(errors="replace").strip()
