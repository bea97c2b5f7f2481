"""The label files of an Ultralytics dataset: a line for each object, its class and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from styleid_ray.datasets.labels import Label
from styleid_ray.datasets.options import in_threads
from styleid_ray.datasets.yolo.config import Config
from styleid_ray.errors import RowError, SourceError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.locations import Options, join, shown
from styleid_ray.storage.store import Store

IMAGES = r"((?:(?s:.*)/)?)images/((?s:.*))\.[^./]*"
"""Pattern of a picture whose label lies where the last `images/` is `labels/`."""
BESIDE = r"((?s:.*))\.[^./]*"
"""Pattern of any other picture: its label lies beside it."""
_IMAGES, _BESIDE = re.compile(rf"{IMAGES}\Z"), re.compile(rf"{BESIDE}\Z")
_BOX = 4


def label_name(key: str) -> str:
    """The label file of a picture."""
    match = _IMAGES.match(key)
    if match:
        return f"{match[1]}labels/{match[2]}.txt"
    return _BESIDE.sub(r"\1.txt", key)


@dataclass(frozen=True)
class YoloLabels:
    """A label file for each picture but those of the background."""

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
        """Objects: a class with a box (centre, width and height as shares of the picture's), or
        with the numbers of its polygon or key points."""
        number = {"dtype": "float64", "_type": "Value"}
        return {
            "objects": [
                {
                    "bbox": {"feature": number, "length": _BOX, "_type": "Sequence"},
                    "category": {"names": list(self.config.names), "_type": "ClassLabel"},
                    "numbers": {"feature": number, "_type": "Sequence"},
                }
            ]
        }

    def prepared(self, work: Store) -> YoloLabels:
        """Every picture has a file of its own."""
        return self

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        """The objects of some pictures; raises SourceError when a label file is damaged."""
        return list(in_threads(self._one, keys))

    def _one(self, key: str) -> Label:
        location = join(self.root, label_name(key))
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
            raise ValueError("a class and at least four numbers should be there")
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
