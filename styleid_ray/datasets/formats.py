"""The dataset formats: recognising, reading and writing them."""

from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import get_args

from styleid_ray.config import DatasetFormat, ExportFormat, StyleFormat
from styleid_ray.datasets.example import Writer
from styleid_ray.datasets.files import Files, list_files
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.masks import check_masks, with_masks
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import chosen
from styleid_ray.errors import ConfigError
from styleid_ray.storage.store import Store

_ORDER = (*(n for n in get_args(DatasetFormat) if n not in ("auto", "folder")), "folder")
"""The order in which formats are tried; the last one takes any files."""
_OWN_LABELS = ("coco", "voc", "yolo")
"""Formats whose exports hold only labels of their own kind."""


def read_source(options: DatasetOptions) -> Source:
    """The pictures of a dataset's chosen splits; raises SourceError when the location cannot be
    read, or a file, which the message names, does not belong to the others."""
    files = list_files(options.url, options.what, options.storage_options)
    name = options.format if options.format != "auto" else _recognised(files, options)
    source = chosen(replace(_module(name).source(files, options), format=name), options)
    if options.label_masks:
        check_masks(source, options)
    return source


def recognised(options: DatasetOptions, known: str | None) -> DatasetOptions:
    """The same options, of a run's contents, with the dataset's format instead of auto; `known` is
    the format that the run recorded."""
    if options.format != "auto":
        return options
    if known is None:
        files = list_files(options.url, options.what, options.storage_options)
        known = _recognised(files, options)
    return replace(options, format=known)


def open_labels(options: DatasetOptions, contents: Source) -> Labels:
    """The labels of a run's contents; raises SourceError when annotation files are missing or
    damaged.

    Args:
        options: of the run, with a format other than auto.
        contents: all contents of the run's plan.
    """
    labels = _module(options.format).labels(options, contents)
    return with_masks(labels, options) if options.label_masks else labels


def open_writer(name: ExportFormat, store: Store, labels: Labels) -> Writer:
    """The writer of an export; raises ConfigError when its format cannot hold these labels."""
    check_format(name, labels.format, "format")
    return _module("folder" if name == "imagefolder" else name).Writer(store, labels)


def check_geometry(labels: Labels, fit: str) -> None:
    """Raises ConfigError where results are crops, for which coordinates and masks are not valid."""
    if labels.geometry and fit == "crop":
        raise ConfigError(
            f"the run has --fit crop, and the coordinates and masks of its {labels.format} labels "
            "are valid only for whole pictures: stylize with --fit keep to export them"
        )


def check_format(name: ExportFormat, format: str, option: str) -> None:
    """Raises ConfigError when an export cannot hold the labels of its contents.

    Args:
        name: format of the export.
        format: dataset format of the contents.
        option: the option that gives `name`, such as "export".
    """
    if name in _OWN_LABELS and name != format:
        raise ConfigError(
            f"--{option} {name} cannot hold the labels of a {format} dataset: use --{option} "
            "imagefolder, webdataset or parquet, which hold any labels"
        )


def crop_note(format: str, fit: str, masks: bool) -> str | None:
    """A line before a run whose crops make its contents' labels invalid, if so.

    Args:
        format: dataset format of the contents.
        fit: option of the run.
        masks: whether contents have label masks.
    """
    if fit != "crop" or not (format in _OWN_LABELS or masks):
        return None
    return (
        "labels with coordinates or masks are valid only for whole pictures, so an export of this "
        "run is refused: use --fit keep"
    )


def _recognised(files: Files, options: DatasetOptions) -> str:
    if options.annotations:
        return "coco"
    order = _ORDER if options.what == "content" else get_args(StyleFormat)[:0:-1]
    return next(name for name in order if _module(name).recognises(files))


def _module(name: str) -> ModuleType:
    return import_module(f"styleid_ray.datasets.{name}")
