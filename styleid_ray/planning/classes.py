"""The classes of pictures: their folders, or a column of labels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from styleid_ray.config import SourceOptions
from styleid_ray.datasets.features import kind_of
from styleid_ray.datasets.folder import class_folders
from styleid_ray.datasets.formats import open_labels
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.parquet.reader import ParquetLabels
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import shown

_WITH_COLUMNS = ("parquet", "webdataset")
_OF_A_CLASS = ("ClassLabel", "Value")
_CHUNK = 4096
_Chunk = tuple[int, Keys, Keys]
"""Index of the first of some contents, their keys and places."""


def classes_of(
    contents: Source, styles: Source, config: SourceOptions, options: DatasetOptions
) -> tuple[np.ndarray, np.ndarray]:
    """The class of each content and of each style, arrays of texts; '' for none.

    The class of a content is the value of a column of its labels or, as in an `imagefolder`, the
    first folder below the split's; the class of a style is its first folder.

    Args:
        options: for reading the contents.

    Raises:
        SourceError: the labels have no such column, or cannot be read.
    """
    folders = (style.partition("/") for style in styles.keys)
    of_styles = np.array([first if slash else "" for first, slash, _ in folders], object)
    if contents.format in _WITH_COLUMNS:
        return _from_column(contents, config.class_column, options), of_styles
    if config.class_column:
        raise SourceError(
            f"--class-column {config.class_column}: a {contents.format} dataset has no such "
            "columns; leave it out to take the class folders of --content"
        )
    return np.array(class_folders(contents.keys), object), of_styles


def _from_column(contents: Source, column: str | None, options: DatasetOptions) -> np.ndarray:
    options = replace(options, format=contents.format, label_masks=None)
    labels = open_labels(options, contents)
    names = [name for name, kind in labels.features.items() if kind_of(kind) in _OF_A_CLASS]
    if column not in names:
        given = f"--class-column {shown(column)}" if column else "--pairing by-class"
        raise SourceError(
            f"{given}: name the column of the class with --class-column; the {contents.format} "
            f"dataset has {shown(', '.join(names))[:300] or 'none'}"
        )
    if isinstance(labels, ParquetLabels):
        own = next(name for name, other in labels.names.items() if other == column)
        labels = replace(labels, columns={own: labels.columns[own]})
    keys, places = Keys(contents.keys), contents.places
    assert places is not None
    chunks: list[_Chunk] = []
    for start in range(0, len(keys), _CHUNK):
        # Copies: a slice of an Arrow array is pickled with the whole array.
        own = pa.array(np.arange(start, min(start + _CHUNK, len(keys))))
        chunks.append((start, keys.take(own), places.take(own)))
    classes = np.empty(len(keys), object)
    for start, values in options.spread(partial(_read, labels, column), chunks):
        classes[start : start + len(values)] = values
    return classes


def _read(labels: Labels, column: str, chunk: _Chunk) -> tuple[int, list[str]]:
    start, keys, places = chunk
    kind = labels.features[column]
    names = kind["names"] if kind_of(kind) == "ClassLabel" else None
    return start, [_name(label, column, names) for label in labels.read(list(keys), list(places))]


def _name(label: Label, column: str, names: Sequence[str] | None) -> str:
    value = label.columns.get(column)
    if value is None or (names is not None and not 0 <= value < len(names)):
        return ""
    return str(value if names is None else names[value]).strip()
