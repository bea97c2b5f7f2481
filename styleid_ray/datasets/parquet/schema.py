"""The columns of Parquet datasets: the column of pictures, and the features of the labels."""

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.datasets.example import ORIGIN
from styleid_ray.datasets.features import arrow_type, feature_of, from_metadata, kind_of
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage.fetch import ATTEMPTS, retried
from styleid_ray.storage.locations import Options, open_filesystem, shown

_PICTURES = ("image", "img", "picture", "photo", "pixels", "jpg", "jpeg", "png", "webp", "bytes")
_TAKEN = {"image", "width", "height", "params", "shard", "model", "seconds", *ORIGIN} | {
    *("file_name", "mask_file_name", "stage", "error", "message"),
    *("content_version", "style_version", "content_place", "style_place"),
}
"""Columns of runs and exports; label columns get other names."""


def read_footer(url: str, options: Options) -> pq.FileMetaData:
    """The footer of a Parquet file; no other bytes are read."""

    def read() -> pq.FileMetaData:
        filesystem, path = open_filesystem(url, options)
        # Arrow reads the end of the file in one or two pieces, which needs no read-ahead.
        with filesystem.open(path, "rb", cache_type="none") as file:
            return pq.read_metadata(file)

    return retried(read, ATTEMPTS)


def column_of_pictures(schema: pa.Schema) -> str | None:
    """The column of pictures: the first Image feature, else the first struct with bytes, else a
    binary column with the name of a picture; None without any."""
    features = from_metadata(schema)
    images = [name for name in schema.names if kind_of(features.get(name, {})) == "Image"]
    structs = [one.name for one in schema if _has_bytes(one.type)]
    binary = [one.name for one in schema if _is_binary(one.type) and one.name.lower() in _PICTURES]
    stored = {*structs, *(one.name for one in schema if _is_binary(one.type))}
    return next((name for name in [*images, *structs, *binary] if name in stored), None)


def label_features(
    schema: pa.Schema, pictures: str, options: DatasetOptions, file: str
) -> dict[str, Any]:
    """The features of all columns except the pictures'; raises SourceError for a column whose type
    has no feature."""
    given = from_metadata(schema)
    features: dict[str, Any] = {}
    for column in schema:
        if column.name == pictures:
            continue
        try:
            features[column.name] = _feature(column.type, given.get(column.name))
        except ValueError as error:
            raise options.fault(
                f"{shown(file)}: the column {shown(column.name)} cannot be exported "
                f"({shown(str(error))}): write the files without it"
            ) from error
    return features


def _feature(kind: pa.DataType, given: Any) -> Any:
    """The feature in the file's metadata, if its values can be stored in our type for it; else the
    feature of the stored values."""
    try:
        pa.nulls(0, kind).cast(arrow_type(given))
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
        return feature_of(kind)
    return given


def own_name(name: str, names: Collection[str]) -> str:
    """The name of a label column in exports, with the prefix `source_` if its name is taken."""
    while name in _TAKEN:
        name = f"source_{name}"
        while name in names:
            name = f"source_{name}"
    return name


def file_of(files: Mapping[str, bytes], name: str) -> bytes | None:
    """The file of a label column of pictures among label files."""
    for suffix, data in files.items():
        stem, dot, extension = suffix.rpartition(".")
        if stem == stem_of(name) and f"{dot}{extension}" in picture_extensions():
            return data
    return None


def stem_of(name: str) -> str:
    """A column's name as a part of a file name."""
    return "".join("_" if c in "/\\." or not c.isprintable() else c for c in name)


def _has_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(f.name == "bytes" and _is_binary(f.type) for f in kind)


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
