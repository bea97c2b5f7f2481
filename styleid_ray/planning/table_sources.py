"""Where the pictures that a table names lie. Nothing is asked of any server: a picture that is not
there is one of the run's failures, as one that cannot be read."""

from __future__ import annotations

import os

from styleid_ray.errors import SourceError
from styleid_ray.planning.sources import Source
from styleid_ray.storage.locations import Options, absolute, is_absolute, local_path, shown
from styleid_ray.storage.secrets import FullURLs


def resolve(
    keys: tuple[str, ...],
    what: str,
    root: str | None,
    table: str,
    storage_options: Options,
    full_urls: FullURLs | None = None,
) -> Source:
    """The source of a table's column.

    Args:
        keys: distinct and sorted; relative to the root, or URLs and absolute paths.
        what: "content" or "style".
        root: the option of that name; without it the table's own folder is the root.
        table: location of the table.
        full_urls: of those keys whose URLs hold secrets.

    Raises:
        SourceError: names are relative to a root that is no folder of this machine.
    """
    relative = not all(map(is_absolute, keys))
    place = _root(root, what) if root and relative else _folder(table)
    return Source(place, keys, dict(storage_options or {}), full_urls)


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
            f"--{what}: {shown(path)} is not a folder; with a table it is the folder that the "
            f"table's {what} names start at"
        )
    return path
