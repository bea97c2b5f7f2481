"""The label files of an Ultralytics dataset: per object one line with its class and numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.features import sequence_feature, value_feature
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import in_threads
from styleid_ray.datasets.yolo.config import Config
from styleid_ray.errors import RowError, SourceError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, join, shown

_IMAGES = r"\A((?:(?s:.*)/)?)images/((?s:.*))\.[^./]*\z"
_BESIDE = r"\A((?s:.*))\.[^./]*\z"
_BOX = 4


def label_names(pictures: pa.Array) -> pa.Array:
    """The label file of each picture, with `labels/` for the last `images/` in its name; without
    one, it lies beside the picture."""
    images, beside = (
        pc.replace_substring_regex(pictures, pattern=pattern, replacement=text)
        for pattern, text in ((_IMAGES, r"\1labels/\2.txt"), (_BESIDE, r"\1.txt"))
    )
    return pc.if_else(pc.match_substring_regex(pictures, _IMAGES), images, beside)


@dataclass(frozen=True)
class YoloLabels(Labels):
    """A label file for each picture except pictures of the background."""

    root: str
    config: Config
    storage_options: Options = field(repr=False)
    format = "yolo"
    geometry = True

    @property
    def header(self) -> Mapping[str, Any]:
        """The dataset's YAML file."""
        return self.config.content

    @property
    def features(self) -> Mapping[str, Any]:
        """Objects: a class with a box (centre, width and height as fractions of the picture's
        size), or with the numbers of its polygon or key points."""
        number = value_feature("float64")
        return {
            "objects": [
                {
                    "bbox": sequence_feature(number, _BOX),
                    "category": {"names": list(self.config.names), "_type": "ClassLabel"},
                    "numbers": sequence_feature(number),
                }
            ]
        }

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        names = label_names(pa.array(keys, pa.string())).to_pylist()
        return list(in_threads(self._one, names))

    def _one(self, name: str) -> Label:
        location = join(self.root, name)
        try:
            data = read_bytes(location, self.storage_options)
            objects = list(self._objects(data))
        except RowError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # a picture of the background
                return Label({"objects": []})
            raise SourceError(f"--content: {shown(location)}: {error}") from error
        except ValueError as error:
            raise SourceError(f"--content: {shown(location)}, {shown(str(error))}") from error
        return Label({"objects": objects}, {"txt": data})

    def _objects(self, data: bytes) -> Iterator[dict[str, Any]]:
        for line, text in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
            if text.strip():
                try:
                    yield self._object(text.split())
                except ValueError as error:
                    raise ValueError(f"line {line}: {error}") from error

    def _object(self, words: Sequence[str]) -> dict[str, Any]:
        cls, *numbers = map(float, words)
        if not all(map(math.isfinite, (cls, *numbers))) or len(numbers) < _BOX:
            raise ValueError("it should have a class and at least four numbers")
        names = self.config.names
        if cls not in range(len(names)):
            raise ValueError(f"there is no class {words[0]} in {shown(self.config.location)}")
        # Key points follow a box; a polygon has none.
        boxed = len(numbers) == _BOX or "kpt_shape" in self.config.content
        return {
            "bbox": numbers[:_BOX] if boxed else None,
            "category": names[int(cls)],
            "numbers": numbers[_BOX:] if boxed else numbers,
        }
