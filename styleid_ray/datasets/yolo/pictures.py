"""The pictures of Ultralytics YOLO: a YAML file names the classes and the pictures of each split;
pictures in `images/` have label files in `labels/`."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.yolo.config import Config, config_name, is_config, open_config
from styleid_ray.datasets.yolo.reader import YoloLabels, label_names
from styleid_ray.datasets.yolo.splits import base_of, file_splits
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.locations import join, shown

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
    splits = file_splits(files, config, base, options)
    pictures = files.ending(*picture_extensions())
    is_picture = pc.is_in(files.names.array, value_set=pictures.names.array)
    others = files.names.array.filter(pc.and_not(splits.is_valid(), is_picture))
    splits = splits.filter(is_picture)
    _check_splits(splits, config, options)
    _check_labels(files, pictures.names.array, splits, options)
    left_out = _left_out(replace(files, names=Keys(others)), splits)
    named = Keys(pc.fill_null(splits, ""))
    listed = pictures.as_source(options.storage_options, left_out, named)
    return listed.only(splits.is_valid().to_numpy(zero_copy_only=False))


def labels(options: DatasetOptions, contents: Source) -> YoloLabels:
    """The label files of a run's contents."""
    return YoloLabels(contents.root, open_config(options, contents.root), options.storage_options)


def _dataset(files: Files, config: Config, options: DatasetOptions) -> tuple[Files, str]:
    """The files of the whole dataset, and the folder among them that splits are relative to."""
    if not is_config(options.url):
        return files, base_of(files, config)
    folder = config.local_folder()
    files = list_files(folder or files.root, options.what, options.storage_options)
    return files, "" if folder else base_of(files, config)


def _left_out(others: Files, splits: pa.Array) -> Counter[str]:
    """Pictures in no split and files that are not pictures, counted by kind."""
    kinds = Counter({kind: n for kind, n in others.kinds().items() if kind not in _OWN})
    return Counter(others.nameless) + kinds + Counter({"pictures in no split": splits.null_count})


def _check_splits(splits: pa.Array, config: Config, options: DatasetOptions) -> None:
    if splits.null_count == len(splits):
        raise options.fault(
            f"{shown(config.location)}: its splits hold no pictures such as .jpg or .png: correct "
            "the paths, or put pictures there"
        )


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
    alone = Keys(label_files).without(Keys(wanted)).array
    alone = alone.filter(pc.is_in(_folders(alone), value_set=pc.unique(_folders(chosen))))
    # Labelling tools write a list of classes beside label files.
    alone = alone.filter(pc.match_substring_regex(alone, r"(?:\A|/)labels/(?s:.*)"))
    alone = alone.filter(pc.invert(pc.match_substring_regex(alone, r"/classes\.txt\z")))
    if len(alone):
        more = f" (and {len(alone) - 1:,} more like it)" if len(alone) > 1 else ""
        raise options.fault(
            f"{shown(join(files.root, alone[0].as_py()))} has no picture in the folder of images"
            f"{more}: put the picture there, or remove the label file"
        )


def _folders(names: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(names, pattern=r"[^/]*\z", replacement="")
