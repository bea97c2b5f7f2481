"""The split of each file of an Ultralytics dataset."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import posixpath
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.datasets.files import Files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.yolo.config import SPLITS, Config, inside
from styleid_ray.storage.locations import extension, join, shown


def base_of(files: Files, config: Config) -> str:
    """The folder below the root that splits are relative to: the key `path` if that folder exists,
    else the root, since a moved dataset keeps its former `path`."""
    base = inside(config.path, "", [files.root])
    return base if base and _is_folder(files.names.array, base) else ""


def file_splits(files: Files, config: Config, base: str, options: DatasetOptions) -> pa.Array:
    """The split of each file, null outside all splits. A file in several is in the first of train,
    val and test: some datasets name the same folder for train and val.

    Args:
        base: the folder below the root that splits are relative to.

    Raises:
        SourceError: pictures of train or val are missing.
    """
    finder = _Finder(files, config, base, options)
    splits = pa.nulls(len(files.names), pa.string())
    for split in SPLITS:
        for place in config.splits.get(split, ()):
            new = pc.and_(finder.mask(split, place), splits.is_null())
            splits = pc.if_else(new, split, splits)
    return splits


@dataclass(frozen=True)
class _Finder:
    files: Files
    config: Config
    base: str
    options: DatasetOptions

    def mask(self, split: str, place: str) -> pa.Array:
        """The files of one place of a split, bool [F]; none for a missing place of test, which
        datasets often name and users seldom download."""
        names = self.files.names.array
        name = self._name_of(place)
        if name is None and split == "test":
            return names.is_null()
        if name is None:
            raise self._fault(split, place, "does not exist")
        if not _is_file(names, name):
            return _below(names, name)
        if extension(name) != ".txt":
            raise self._fault(split, place, "is neither a folder nor a .txt file")
        return pc.is_in(names, value_set=self._listed(name, optional=split == "test"))

    def _name_of(self, place: str) -> str | None:
        """The name of a place below the root. '../train' may also mean 'train', as in
        Ultralytics."""
        names = self.files.names.array
        candidates = [place]
        while candidates[-1].startswith("../"):
            candidates.append(candidates[-1][len("../") :])
        for candidate in candidates:
            name = inside(candidate, self.base, self._roots)
            if name is not None and (_is_folder(names, name) or _is_file(names, name)):
                return name
        return None

    @property
    def _roots(self) -> tuple[str, str]:
        return self.files.root, self.config.path

    def _listed(self, name: str, optional: bool) -> pa.Array:
        """The pictures in a list, which are relative to the list or to the dataset."""
        location = join(self.files.root, name)
        lines = self.options.read_list(location)
        near, far = (
            Keys(inside(line, folder, self._roots) or "" for line in lines).array
            for folder in (posixpath.dirname(name), self.base)
        )
        is_near, is_far = (pc.is_in(one, value_set=self.files.names.array) for one in (near, far))
        lost = lines.array.filter(pc.invert(pc.or_(is_near, is_far)))
        if len(lost) == len(lines) and optional:
            return lines.array[:0]
        if len(lost):
            raise self.options.fault(
                f"{shown(location)} lists {shown(lost[0].as_py())}, which is not below "
                f"{shown(self.files.root)}: correct the line, or put the picture there"
            )
        return pc.if_else(is_near, near, far)

    def _fault(self, split: str, place: str, what: str) -> Exception:
        return self.options.fault(
            f"{shown(self.config.location)}: {split}: {shown(place)} {what} below "
            f"{shown(join(self.files.root, self.base))}: correct the path, or name the folder that "
            "holds the pictures"
        )


def _below(names: pa.Array, folder: str) -> pa.Array:
    return pc.starts_with(names, f"{folder}/" if folder else "")


def _is_folder(names: pa.Array, name: str) -> bool:
    return bool(pc.any(_below(names, name)).as_py())


def _is_file(names: pa.Array, name: str) -> bool:
    return pc.index(names, name).as_py() >= 0
