"""The YAML file of an Ultralytics dataset: the names of classes, and the pictures of each split."""

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.errors import RowError
from styleid_ray.storage.fetch import read_bytes, reason
from styleid_ray.storage.locations import (
    absolute,
    extension,
    is_absolute,
    join,
    local_path,
    open_filesystem,
    shown,
)

SPLITS = ("train", "val", "test")
_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Config:
    """A parsed YAML file, checked."""

    location: str
    """Path or URL of the file."""
    content: Mapping[str, Any] = field(repr=False)
    """All keys, as parsed."""
    names: tuple[str, ...]
    """Names of the classes, by their numbers."""
    splits: Mapping[str, Sequence[str]]
    """The entries of each split: folders of pictures, or text files that list pictures."""

    @property
    def path(self) -> str:
        """The key `path`, the folder that splits are relative to; '' without it."""
        return str(self.content.get("path") or "")

    def local_folder(self) -> str | None:
        """The folder on this machine that `path` names, if it exists."""
        location = local_path(self.location)
        if location is None or not self.path:
            return None
        folder = os.path.join(os.path.dirname(absolute(location)), self.path)
        return os.path.normpath(folder) if os.path.isdir(folder) else None


def is_config(url: str) -> bool:
    """Whether a location is a YAML file's."""
    return extension(url) in _YAML


def config_name(names: Iterable[str]) -> str | None:
    """The dataset's YAML file among the names at its top: by a usual name, or the only one."""
    configs = [name for name in names if extension(name) in _YAML]
    usual = next((name for name in _USUAL if name in configs), None)
    return usual or (configs[0] if len(configs) == 1 else None)


def open_config(options: DatasetOptions, root: str) -> Config:
    """The YAML file that the location names, or the one at the top of the listed folder `root`;
    raises SourceError when there is none, or it cannot be read, or lacks class names or splits."""
    if is_config(options.url):
        path = local_path(options.url)
        return _parsed(options.url if path is None else absolute(path), options)
    try:
        filesystem, path = open_filesystem(root, options.storage_options)
        listed = [entry.rstrip("/") for entry in filesystem.ls(path, detail=False)]
    except Exception as error:  # each filesystem has its own errors
        why = reason(error, options.storage_options)
        raise options.fault(f"cannot list {shown(root)}: {why}") from error
    name = config_name(posixpath.basename(entry) for entry in listed)
    if name is None:
        raise options.fault(
            f"{shown(root)} has neither a data.yaml nor a single other .yaml file: name the "
            "dataset's YAML file itself"
        )
    return _parsed(join(root, name), options)


def _parsed(location: str, options: DatasetOptions) -> Config:
    try:
        content = yaml.safe_load(read_bytes(location, options.storage_options))
        if not isinstance(content, dict):
            raise ValueError("it holds no keys: it should have names, train and val")
        return Config(location, content, _class_names(content), _splits(content))
    except (RowError, yaml.YAMLError, ValueError, RecursionError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise options.fault(f"{shown(location)}: {shown(message)}") from error


def _class_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    given = content.get("names")
    if not given or not isinstance(given, list | dict):
        raise ValueError("it has no class names: add names, a list or a mapping of numbers")
    names = given if isinstance(given, dict) else dict(enumerate(given))
    count = content.get("nc")
    for number in range(max(len(names), count if isinstance(count, int) else 0)):
        if isinstance(names.get(number), dict | list | None):
            raise ValueError(f"class {number} has no name: add it to names")
    texts = [str(names[number]) for number in range(len(names))]
    twice = [text for text in texts if texts.count(text) > 1]
    if twice:
        raise ValueError(f"two classes have the name {twice[0]!r}: rename one of them")
    return tuple(texts)


def _splits(content: Mapping[str, Any]) -> dict[str, list[str]]:
    given = {split: content.get(split) for split in SPLITS}
    given["val"] = given["val"] or content.get("validation")
    splits = {s: v if isinstance(v, list) else [v] for s, v in given.items() if v}
    for split, places in splits.items():
        if not all(isinstance(place, str) for place in places):
            raise ValueError(f"{split} should be a folder, a .txt file, or a list of these")
    if not splits:
        raise ValueError("it names no pictures: add train and val, folders or .txt files")
    return splits


def inside(place: str, folder: str, roots: Iterable[str]) -> str | None:
    """A place in a YAML file or a list of pictures as a name below the dataset's root: '' for the
    root itself; None for a place outside it.

    Args:
        folder: name of the folder that a relative place is below.
        roots: present and former locations of the dataset, which an absolute place may be below.
    """
    if is_absolute(place):
        place = place.rstrip("/") + "/"
        starts = [root.rstrip("/") + "/" for root in roots if root]
        start = next((start for start in starts if place.startswith(start)), None)
        if start is None:
            return None
        folder, place = "", place.removeprefix(start)
    name = posixpath.normpath(posixpath.join(folder, place))
    if name.split("/")[0] == "..":
        return None
    return "" if name == "." else name
