"""Where the pictures that a table names lie, and whether all of them are there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from styleid_ray.errors import SourceError
from styleid_ray.planning.sources import Source, list_pictures
from styleid_ray.storage.fetch import reason, retrying
from styleid_ray.storage.locations import (
    Options,
    absolute,
    is_absolute,
    is_web,
    local_path,
    open_filesystem,
    shown,
)
from styleid_ray.storage.secrets import FullURLs

_REQUESTS = 16


def resolve(
    keys: Iterable[str],
    what: str,
    root: str | None,
    table: str,
    storage_options: Options,
    full_urls: FullURLs | None = None,
) -> Source:
    """The source of a table's column: its distinct keys, all of which exist.

    Args:
        keys: relative to the root, or URLs and absolute paths.
        what: "content" or "style".
        root: the option of that name; without it the table's own folder is the root.
        table: location of the table.
        full_urls: of those keys whose URLs hold secrets.

    Raises:
        SourceError: files do not exist, or a location cannot be listed.
    """
    keys = sorted(set(keys))
    known: frozenset[str] = frozenset()
    if root is None or all(map(is_absolute, keys)):
        source = Source(_folder(table), tuple(keys), dict(storage_options or {}), full_urls)
    else:
        listed = list_pictures(root, what, storage_options)
        known = frozenset(listed.keys)
        source = Source(listed.root, tuple(keys), listed.storage_options, full_urls)
    missing = _missing(source, [key for key in keys if key not in known], what)
    if missing:
        first = ", ".join(shown(key) for key in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise SourceError(
            f"--table {shown(table)}: {len(missing)} of its {what} pictures do not exist: "
            f"{first}{more}; relative names start at {shown(source.root)}"
        )
    return source


def _folder(table: str) -> str:
    path = local_path(table)
    return os.path.dirname(absolute(path)) if path is not None else table.rpartition("/")[0]


def _missing(source: Source, keys: list[str], what: str) -> list[str]:
    missing: list[str] = []
    folders: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        url = source.url(key)
        path = local_path(url)
        if path is None:
            folders[url.rpartition("/")[0] + "/"].append(key)
        elif not os.path.isfile(path):
            missing.append(key)
    with ThreadPoolExecutor(_REQUESTS) as pool:
        jobs = [
            pool.submit(_missing_in, source, folder, found) for folder, found in folders.items()
        ]
        for job, folder in zip(jobs, folders, strict=True):
            try:
                missing += job.result()
            except Exception as error:  # each filesystem has its own errors
                raise SourceError(
                    f"--{what}: cannot look into {shown(folder)}: "
                    f"{reason(error, source.storage_options)}"
                ) from error
    return sorted(missing)


def _missing_in(source: Source, folder: str, keys: list[str]) -> list[str]:
    """Those keys, all of one remote folder, that do not exist: one listing answers for many."""
    filesystem, path = open_filesystem(folder, source.storage_options)
    names: set[str] = set()
    if len(keys) > 1 and not folder.startswith("http"):  # web servers need not list folders
        for attempt in retrying():
            with attempt:
                try:
                    names = {name.rstrip("/") for name in filesystem.ls(path, detail=False)}
                except FileNotFoundError:
                    return keys
        filesystem.invalidate_cache(path)

    def is_missing(key: str) -> bool:
        _, file = open_filesystem(source.url(key), source.storage_options)
        if file in names:
            return False
        # Of the web, fsspec says of any failure that nothing is there, unless it is asked to be
        # strict.
        strictly = {"strict": True} if is_web(filesystem) else {}
        for attempt in retrying():
            with attempt:
                return not filesystem.exists(file, **strictly)
        raise AssertionError("unreachable: the last attempt returns or raises")

    if len(keys) == 1:
        return [key for key in keys if is_missing(key)]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return [k for k, gone in zip(keys, pool.map(is_missing, keys), strict=True) if gone]
