"""Writing a dataset in the layout of Pascal VOC."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from styleid_ray.datasets.example import Example, TextFiles, each_written
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.voc.xml import Annotation
from styleid_ray.storage.store import Store

MASKS = ("SegmentationClass", "SegmentationObject")
"""Folders of masks."""
_CLASSES_AT_ONCE = 32
_MOST_BYTES = 200
_TRAINVAL = ("train", "val")
_PRESENT, _DIFFICULT, _ABSENT = 1, 0, -1


class Writer:
    """`JPEGImages/NAME.ext`, `Annotations/NAME.xml` and the lists in `ImageSets/`.

    Only the texts of folder, filename, path and size change in an annotation, if it has these
    elements. Masks are copied, those of --label-masks to `masks/`. The lists of splits are
    `train.txt`, `val.txt` and `test.txt`, and `trainval.txt` where there are train and val; without
    splits, `trainval.txt` alone. Class lists (`dog_train.txt`) are written where the contents had
    them: 1 for a class in the picture, 0 if all its objects are difficult, -1 for any other class.
    """

    def __init__(self, store: Store, labels: Labels) -> None:
        self.store = store
        self.folder = store.url.rstrip("/").rpartition("/")[2]
        self.class_lists = bool(labels.header.get("class_lists"))

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes pictures; the part holds a line for each: split, name, whether there are masks,
        and the state of its classes."""
        return b"".join(each_written(self._one, examples))

    def _one(self, example: Example) -> bytes:
        name, files = example.name, example.label.files
        picture = f"{name}{example.extension}"
        self.store.write(f"JPEGImages/{picture}", example.picture)
        xml = Annotation(files["xml"]).edited(self._texts(picture, example))
        self.store.write(f"Annotations/{name}.xml", xml)
        masks = {f: files[f"{f}.png"] for f in MASKS if f"{f}.png" in files}
        for folder, data in masks.items():
            self.store.write(f"{folder}/{name}.png", data)
        if "mask.png" in files:
            self.store.write(f"masks/{name}.png", files["mask.png"])
        classes = _classes(example.label.columns["objects"]) if self.class_lists else {}
        return json.dumps([example.split, name, bool(masks), classes]).encode() + b"\n"

    def _texts(self, picture: str, example: Example) -> Mapping[tuple[str, ...], str]:
        # Results are RGB; an original may be grey, and is copied unchanged.
        depth = {} if example.origin.get("original") else {("size", "depth"): "3"}
        return {
            ("folder",): self.folder,
            ("filename",): picture,
            ("path",): f"JPEGImages/{picture}",
            ("size", "width"): str(example.width),
            ("size", "height"): str(example.height),
            **depth,
        }

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes the lists."""
        splits, classes = set(), set()
        with tempfile.TemporaryFile() as lines:
            for part in parts:
                lines.write(part)
                for split, _, _, states in map(json.loads, part.splitlines()):
                    splits.add(split)
                    classes.update(states)
            lists = _lists(splits)
            self._split_lists(lines, lists)
            named = sorted(filter(_names_a_file, classes))
            for start in range(0, len(named), _CLASSES_AT_ONCE):
                self._class_lists(lines, lists, named[start : start + _CLASSES_AT_ONCE])

    def _split_lists(self, lines: IO[bytes], lists: Mapping[str, Sequence[str]]) -> None:
        with TextFiles(self.store) as files:
            for split, name, segmented, _ in _replayed(lines):
                for one in lists[split]:
                    files.add(f"ImageSets/Main/{one}.txt", name)
                    if segmented:
                        files.add(f"ImageSets/Segmentation/{one}.txt", name)

    def _class_lists(
        self, lines: IO[bytes], lists: Mapping[str, Sequence[str]], classes: Sequence[str]
    ) -> None:
        with TextFiles(self.store) as files:
            for split, name, _, states in _replayed(lines):
                for one in lists[split]:
                    for cls in classes:
                        line = f"{name} {states.get(cls, _ABSENT):2d}"
                        files.add(f"ImageSets/Main/{cls}_{one}.txt", line)


def _replayed(lines: IO[bytes]) -> Iterator[list[Any]]:
    lines.seek(0)
    return map(json.loads, lines)


def _lists(splits: set[str]) -> dict[str, list[str]]:
    """The lists of each split's pictures."""
    lists = {split: [split or "trainval"] for split in splits}
    if splits.issuperset(_TRAINVAL):
        for split in _TRAINVAL:
            lists[split].append("trainval")
    return lists


def _classes(objects: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The state of each class among a picture's objects."""
    states: dict[str, int] = {}
    for one in objects:
        state = _DIFFICULT if one["difficult"] else _PRESENT
        states[one["category"]] = max(state, states.get(one["category"], _DIFFICULT))
    return states


def _names_a_file(cls: str) -> bool:
    """Whether a class can have a list, whose file name contains the class."""
    return "/" not in cls and len(cls.encode()) <= _MOST_BYTES
