"""The annotation files of a COCO dataset: names, splits, folders of pictures."""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.coco.annotations import Annotations
from styleid_ray.datasets.files import Files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.splits import split_name
from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import ATTEMPTS, retried
from styleid_ray.storage.locations import (
    absolute,
    join,
    local_path,
    open_filesystem,
    shown,
    split_chain,
)

_LAYOUT = r"(?:.*/)?(?:annotations/[^/]+\.json|annotations\.json|_annotations\.coco\.json)\z"


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file, and the folder that its pictures lie below."""

    url: str
    """Absolute path, or URL."""
    base: str
    """Folder below the content's root, with a final slash; '' for the root."""
    split: str | None
    name: str
    """The file's name; SPLIT/NAME where files of several splits have one name."""

    @contextmanager
    def opened(self, options: DatasetOptions) -> Iterator[Annotations]:
        """The file for any number of passes; a remote one is copied to this machine's disk."""

        def fault(message: str) -> SourceError:
            return options.fault(f"{shown(self.url)} {message}")

        path = local_path(self.url)
        if path is not None:
            yield Annotations(path, fault)
            return
        with tempfile.TemporaryDirectory(prefix="styleid-ray-") as folder:
            copy = os.path.join(folder, "annotations.json")
            try:
                filesystem, remote = open_filesystem(self.url, options.storage_options)
                retried(lambda: filesystem.get_file(remote, copy), ATTEMPTS)
            except Exception as error:  # each filesystem has its own errors
                raise options.unreadable(self.url, error) from error
            yield Annotations(copy, fault)

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Folders below the content's root that may hold its pictures, the likeliest first."""
        words = [*_words(_stem(self.url)), *([self.split] if self.split else [])]
        below = [
            *(f"{word}/" for word in words),
            *(f"images/{word}/" for word in words),
            "images/",
            "",
        ]
        bases = dict.fromkeys([self.base, ""])
        return tuple(dict.fromkeys(f"{base}{folder}" for base in bases for folder in below))

    @property
    def png_folders(self) -> tuple[str, str]:
        """Folders that may hold the PNGs of panoptic annotations: one named like the file, and
        `panoptic` beside the pictures' folder."""
        inner, chained = split_chain(self.url)
        stem = inner.removesuffix(".json")
        above = stem.rpartition("/")[0].removesuffix("/annotations")
        return stem + chained, f"{above}/panoptic{chained}"


def is_coco(files: Files) -> bool:
    """Whether there are annotation files in COCO's layout."""
    return bool(files.matching(_LAYOUT).names)


def annotation_files(files: Files, options: DatasetOptions) -> list[AnnotationFile]:
    """The annotation files of the options, or else all that lie in COCO's layout; raises
    SourceError when there are none, or two of one split have the same name."""
    found = [join(files.root, name) for name in files.matching(_LAYOUT).names]
    listed = [_file(files, url) for url in list(map(_whole, options.annotations)) or found]
    if not listed:
        raise options.fault(
            f"{shown(files.url)} holds no annotations/*.json: name the annotation files with "
            "--annotations"
        )
    if any(file.split for file in listed):
        listed = [replace(file, split=file.split or _words(_stem(file.url))[-1]) for file in listed]
    return _named(listed, options)


def matches(file: AnnotationFile, names: Keys, keys: Keys) -> dict[str, int]:
    """The number of an annotation file's pictures among the keys, by the folder put before their
    names, in the order of `AnnotationFile.folders`."""
    return {
        folder: pc.sum(pc.is_in(below(folder, names), value_set=keys.array)).as_py() or 0
        for folder in file.folders
    }


def below(folder: str, names: Keys) -> pa.StringArray:
    """Names with a folder put before them."""
    return pc.binary_join_element_wise(pa.scalar(folder), names.array, "")


def check_panoptic(files: Sequence[AnnotationFile], options: DatasetOptions) -> None:
    """Raises SourceError where two panoptic files are of one split: a picture has one PNG."""
    for split, count in Counter(file.split for file in files).items():
        if count > 1:
            names = " and ".join(shown(file.name) for file in files if file.split == split)
            raise options.fault(
                f"{names} are panoptic, both for the same pictures: name the annotation files to "
                "take with --annotations"
            )


def _named(files: list[AnnotationFile], options: DatasetOptions) -> list[AnnotationFile]:
    counts = Counter(file.name for file in files)
    unique = [
        replace(file, name=f"{file.split}/{file.name}") if counts[file.name] > 1 else file
        for file in files
    ]
    for name, count in Counter(file.name for file in unique).items():
        if count > 1:
            urls = " and ".join(shown(file.url) for file in unique if file.name == name)
            raise options.fault(f"{urls} have the same name: rename one, so that both can be kept")
    return unique


def _whole(url: str) -> str:
    path = local_path(url)
    return url if path is None else absolute(path)


def _file(files: Files, url: str) -> AnnotationFile:
    inner, _ = split_chain(url)
    root = split_chain(files.root)[0].rstrip("/") + "/"
    folder = inner.removeprefix(root).rpartition("/")[0] if inner.startswith(root) else ""
    base = re.sub(r"(?:^|(?<=/))annotations$", "", folder).rstrip("/")
    split = next((name for name in map(split_name, _words(_stem(url))) if name), None)
    split = split or split_name(base.rpartition("/")[2])
    return AnnotationFile(url, base and f"{base}/", split, inner.rpartition("/")[2])


def _words(stem: str) -> list[str]:
    """The words of a file's name that may name its split and its folder, the likeliest first:
    train2017 and train from instances_train2017."""
    parts = [
        list(dict.fromkeys([part, *re.findall("[A-Za-z]+", part)]))
        for part in stem.split("_")[::-1]
        if part
    ] or [[stem]]
    return next((words for words in parts if any(map(split_name, words))), parts[0])


def _stem(url: str) -> str:
    """The name of a file without folders and .json."""
    return split_chain(url)[0].rpartition("/")[2].removesuffix(".json")
