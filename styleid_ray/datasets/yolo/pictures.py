"""The pictures of Ultralytics YOLO: a YAML file names the classes and the pictures of each split;
pictures in `images/` have label files in `labels/`."""

import posixpath
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.yolo.config import (
    SPLITS,
    Config,
    config_name,
    inside,
    is_config,
    open_config,
)
from styleid_ray.datasets.yolo.reader import YoloLabels, label_names
from styleid_ray.storage.locations import extension, join, shown

_OWN = {".txt", ".cache", ".npy", ".yaml", ".yml"}
"""Extensions of files that Ultralytics keeps beside pictures."""


def recognises(files: Files) -> bool:
    """Whether this is a YAML file, or a folder with one and with folders `images` and `labels`."""
    if len(files.names) == 1 and is_config(files.url):
        return True
    top = files.ending(".yaml", ".yml").matching(r"[^/]*$").names
    folders = (files.matching(rf"(?:(?s:.*)/)?{name}/").names for name in ("images", "labels"))
    return config_name(top) is not None and all(map(len, folders))


def source(files: Files, options: DatasetOptions) -> Source:
    """The pictures of the YAML file's splits; pictures in none are left out.

    Raises:
        SourceError: the YAML file cannot be used, pictures of train or val are missing, a label
            file has no picture, or no picture has a label file.
    """
    config = open_config(options, files.root)
    files, base = _dataset(files, config, options)
    splits = _file_splits(files, config, base, options)
    pictures = files.pictures()
    is_picture = pc.is_in(files.names.array, value_set=pictures.names.array)
    others = files.names.array.filter(pc.and_not(splits.is_valid(), is_picture))
    splits = splits.filter(is_picture)
    if splits.null_count == len(splits):
        raise options.fault(
            f"{shown(config.location)}: its splits hold no pictures such as .jpg or .png: correct "
            "the paths, or put pictures there"
        )
    _check_labels(files, pictures.names.array, splits, options)
    kinds = replace(files, names=Keys(others)).kinds()
    left_out = Counter({kind: count for kind, count in kinds.items() if kind not in _OWN})
    left_out += Counter(files.nameless) + Counter({"pictures in no split": splits.null_count})
    named = Keys(pc.fill_null(splits, ""))
    listed = pictures.as_source(options.storage_options, left_out, named)
    return listed.only(splits.is_valid().to_numpy(zero_copy_only=False))


def labels(options: DatasetOptions, contents: Source) -> YoloLabels:
    """The label files of a run's contents."""
    return YoloLabels(contents.root, open_config(options, contents.root), options.storage_options)


def _dataset(files: Files, config: Config, options: DatasetOptions) -> tuple[Files, str]:
    """The files of the whole dataset, and the folder among them that splits are relative to."""
    if not is_config(options.url):
        return files, _base_of(files, config)
    folder = config.local_folder()
    files = list_files(folder or files.root, options.what, options.storage_options)
    return files, "" if folder else _base_of(files, config)


def _base_of(files: Files, config: Config) -> str:
    """The folder below the root that splits are relative to: the key `path` if that folder exists,
    else the root, since a moved dataset keeps its former `path`."""
    base = inside(config.path, "", [files.root])
    return base if base and _is_folder(files.names.array, base) else ""


def _file_splits(files: Files, config: Config, base: str, options: DatasetOptions) -> pa.Array:
    """The split of each file, null outside all splits. A file in several is in the first of train,
    val and test: some datasets name the same folder for train and val.

    Raises SourceError when pictures of train or val are missing. `base` is the folder below the
    root that splits are relative to.
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
    """Finds the files of a split's places."""

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
        name = self._inside(place, self.base)
        if name is not None and (_is_folder(names, name) or _is_file(names, name)):
            return name
        return self._name_of(place[3:]) if place.startswith("../") else None

    def _inside(self, place: str, folder: str) -> str | None:
        return inside(place, folder, (self.files.root, self.config.path))

    def _listed(self, name: str, optional: bool) -> pa.Array:
        """The pictures in a list, which are relative to the list or to the dataset."""
        location = join(self.files.root, name)
        lines = self.options.read_list(location)
        near, far = (
            Keys(self._inside(line, folder) or "" for line in lines).array
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


def _check_labels(
    files: Files, pictures: pa.Array, splits: pa.Array, options: DatasetOptions
) -> None:
    """Raises SourceError when label files and pictures do not belong together."""
    label_files = files.ending(".txt").names.array
    wanted = label_names(pictures)
    chosen = wanted.filter(splits.is_valid())
    if not pc.any(pc.is_in(chosen, value_set=label_files)).as_py():
        raise options.fault(
            f"{shown(files.root)}: no picture has a label file, the first should have "
            f"{shown(chosen[0].as_py())}: put labels there"
        )
    unpaired = Keys(label_files).without(Keys(wanted)).array
    unpaired = unpaired.filter(pc.is_in(_folders(unpaired), value_set=pc.unique(_folders(chosen))))
    # Labelling tools write a list of classes beside label files.
    unpaired = unpaired.filter(pc.match_substring_regex(unpaired, r"(?:\A|/)labels/(?s:.*)"))
    unpaired = unpaired.filter(pc.invert(pc.match_substring_regex(unpaired, r"/classes\.txt\z")))
    if len(unpaired):
        more = f" (and {len(unpaired) - 1:,} more like it)" if len(unpaired) > 1 else ""
        raise options.fault(
            f"{shown(join(files.root, unpaired[0].as_py()))} has no picture in the folder of images"
            f"{more}: put the picture there, or remove the label file"
        )


def _folders(names: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(names, pattern=r"[^/]*\z", replacement="")
