"""The locations of the pictures that a table names. No server is asked: a missing picture becomes
one of the run's failures, like a picture that cannot be read."""

import os
from dataclasses import replace

from styleid_ray.arrow import pc
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import ALL_SPLITS
from styleid_ray.errors import SourceError
from styleid_ray.storage.locations import absolute, is_absolute, local_path, shown
from styleid_ray.storage.members import is_member
from styleid_ray.storage.secrets import FullURLs


def resolve(
    keys: Keys, dataset: DatasetOptions, table: str, full_urls: FullURLs | None = None
) -> Source:
    """The source of a table's column.

    Args:
        keys: distinct and sorted; relative to the root, or URLs and absolute paths.
        dataset: its location is the root; without one, the table's folder is.
        table: location of the table.
        full_urls: of keys whose URLs hold secrets.

    Raises:
        SourceError: names are relative to a root that is no folder of this machine, or name members
            that the tars or Parquet files lack.
    """
    what, root, options = dataset.what, dataset.url, dict(dataset.storage_options or {})
    if root and any(map(is_member, keys)):
        return _members(keys, dataset)
    relative = not all(map(is_absolute, keys))
    place = _root(root, what) if root and relative else _folder(table)
    format = "" if dataset.format == "auto" else dataset.format
    return Source(place, keys, options, full_urls, format=format)


def _members(keys: Keys, dataset: DatasetOptions) -> Source:
    """The pictures of these names in a dataset of tars or Parquet files."""
    source = read_source(replace(dataset, splits=ALL_SPLITS, label_masks=None))
    at = pc.index_in(keys.array, Keys(source.keys).array)
    if at.null_count:
        missing = keys.array.filter(pc.is_null(at))
        raise SourceError(
            f"--{dataset.what}: {shown(dataset.url)} has no picture {shown(missing[0].as_py())}, "
            "which the table names"
        )
    return replace(source.only(at.to_numpy()), splits=None)


def _folder(table: str) -> str:
    path = local_path(table)
    return os.path.dirname(absolute(path)) if path is not None else table.rpartition("/")[0]


def _root(url: str, what: str) -> str:
    path = local_path(url)
    if path is None:
        return url.replace("::/", "::file:///")
    path = absolute(path)
    if not os.path.isdir(path):
        raise SourceError(
            f"--{what}: {shown(path)} is not a folder; with a table, its {what} names are relative "
            f"to the folder --{what}"
        )
    return path
