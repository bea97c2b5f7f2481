"""Folders of pictures in, `imagefolder` out: class folders are the labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from styleid_ray.datasets.example import Example, TextFiles, each_written
from styleid_ray.datasets.features import kind_of
from styleid_ray.datasets.files import Files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.pictures import pictures_of
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import split_name
from styleid_ray.storage.locations import is_absolute
from styleid_ray.storage.store import Store


def recognises(files: Files) -> bool:
    """Always true: files of no other format are pictures in folders."""
    return True


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures of a folder tree. Folders train, val and test at the top are splits."""
    pictures = pictures_of(files, options.what, options.storage_options)
    if options.what != "content":
        return pictures
    splits = set(map(_top_split, pictures.keys))
    if None in splits:
        return pictures
    return replace(pictures, splits=Keys(_top_split(key) or "" for key in pictures.keys))


def labels(options: DatasetOptions, contents: Source) -> FolderLabels:
    """The class folders of a run's contents."""
    classes = set(class_folders(contents.keys)) - {""}
    return FolderLabels(all(map(_top_split, contents.keys)), tuple(sorted(classes)))


def class_folders(keys: Sequence[str]) -> list[str]:
    """The class of each picture of a folder tree; '' outside class folders."""
    split = all(map(_top_split, keys))
    return [_class_of(key, split) for key in keys]


@dataclass(frozen=True)
class FolderLabels(Labels):
    """The class of a picture is the first folder of its key, below the split's folder."""

    split: bool
    """Whether the top folders are splits."""
    classes: tuple[str, ...]
    """Names in order; none where pictures lie in no folder."""
    format = "folder"

    @property
    def header(self) -> Mapping[str, Any]:
        """The names of the classes."""
        return {"names": list(self.classes)}

    @property
    def features(self) -> Mapping[str, Any]:
        if not self.classes:
            return {}
        return {"label": {"names": list(self.classes), "_type": "ClassLabel"}}

    def read(self, keys: Sequence[str], places: Sequence[str | None]) -> list[Label]:
        return list(map(self._label, keys))

    def _label(self, key: str) -> Label:
        split = (_top_split(key) or "") if self.split else ""
        name = _class_of(key, self.split)
        if not name:
            return Label({"label": None} if self.classes else {}, split=split)
        number = str(self.classes.index(name)).encode()
        return Label({"label": name}, {"cls": number}, name, split=split)


class Writer:
    """`CLASS/NAME__STYLE.png` below the split's folder, where there are splits, and
    `metadata.jsonl` as Hugging Face reads it. With masks, pictures lie in `images/`, and masks in
    `masks/` or in a folder named like their column."""

    def __init__(self, store: Store, labels: Labels) -> None:
        self.store = store
        kinds = labels.features.items()
        self.masks = [name for name, kind in kinds if kind_of(kind) == "Image"]

    def write(self, item: int, examples: Iterable[Example]) -> bytes:
        """Writes pictures; the part holds a line of metadata for each, with its split."""
        return b"".join(each_written(self._one, examples))

    def _one(self, example: Example) -> bytes:
        below = [example.label.folder] if example.label.folder else []
        name = "/".join([*below, example.name])
        row = {"file_name": f"{'images/' * bool(self.masks)}{name}{example.extension}"}
        top = f"{example.split}/" * bool(example.split)
        self.store.write(f"{top}{row['file_name']}", example.picture)
        for mask in self.masks:
            suffix = next((s for s in example.label.files if s.rpartition(".")[0] == mask), None)
            if suffix is not None:
                folder = "masks" if mask == "mask" else mask
                row[f"{mask}_file_name"] = f"{folder}/{name}.{suffix.rpartition('.')[2]}"
                data = example.label.files[suffix]
                self.store.write(f"{top}{row[f'{mask}_file_name']}", data)
        labels = example.label.columns.items()
        row |= {name: value for name, value in labels if not isinstance(value, bytes)}
        row |= example.origin
        line = json.dumps([top, row], ensure_ascii=False, default=str)
        return line.encode() + b"\n"

    def finish(self, parts: Iterator[bytes]) -> None:
        """Writes `metadata.jsonl` of each split."""
        with TextFiles(self.store) as files:
            for part in parts:
                for line in part.splitlines():
                    top, row = json.loads(line)
                    files.add(f"{top}metadata.jsonl", json.dumps(row, ensure_ascii=False))


def _top_split(key: str) -> str | None:
    top, slash, _ = key.partition("/")
    return split_name(top) if slash and not is_absolute(key) else None


def _class_of(key: str, split: bool) -> str:
    if is_absolute(key):
        return ""
    folders = key.split("/")[split:-1]
    return folders[0] if folders else ""
