"""Every file below a folder, on a disk or in an object store: its key relative to the folder, and
its version."""

import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.utils import glob_translate

from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import retried
from styleid_ray.storage.locations import shown
from styleid_ray.storage.version import disk_version, version_of

Listed = tuple[str, str]
"""Key and version of a file; the version is '' where the filesystem has none."""
_PAGE = 1000
_MAGIC = re.compile(r"[*?\[]")


def walk_disk(root: str, what: str) -> Iterator[Listed]:
    """All files below a local folder, in no particular order.

    Links to folders are followed, but each folder is walked once, under its real name where that
    lies below `root`: a loop of links ends, and no picture is listed twice. Pipes, sockets, devices
    and hidden files are left out, and hidden folders are not walked.

    Raises:
        SourceError: a folder cannot be read.
    """
    links: list[str] = []
    seen: set[tuple[int, int]] = set()
    for pending in ([""], links):
        while pending:
            prefix = pending.pop()
            try:
                folder = os.path.join(root, prefix)
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                raise SourceError(
                    f"--{what}: cannot read the folder {shown(os.path.join(root, prefix))}: "
                    f"{error.strerror}; make it readable or name another folder"
                ) from error
            for entry in ordered:
                if is_hidden(entry.name):
                    continue
                if _is_folder(entry):
                    # Links wait until everything has been walked under its real name.
                    (links if entry.is_symlink() else pending).append(f"{prefix}{entry.name}/")
                elif _is_file(entry):
                    yield prefix + entry.name, _version(entry)


def walk_store(filesystem: Any, folder: str) -> list[Listed]:
    """All files below a folder of an fsspec filesystem, in no particular order."""
    prefix = folder.rstrip("/") + "/" if folder.strip("/") else folder

    def listed() -> list[Listed]:
        filesystem.invalidate_cache()
        files = ((path.removeprefix(prefix), v) for path, v in _files(filesystem, folder))
        return [
            (key, version)
            for key, version in files
            if not key.endswith("/") and not any(map(is_hidden, key.split("/")))
        ]

    files = retried(listed)
    filesystem.invalidate_cache()  # the cache of a large listing would stay for the whole run
    return files


def _files(filesystem: Any, folder: str) -> Iterator[Listed]:
    """Paths of all files below a folder, page by page in S3, where `find` would hold a description
    of every file, ten times the size of its name, until the end."""
    if not hasattr(filesystem, "_iterdir"):
        if _finds(filesystem):
            for path, info in filesystem.find(folder, detail=True).items():
                yield path, version_of(info)
        else:
            yield from _walk(filesystem, folder)
        return
    bucket, prefix, _ = filesystem.split_path(folder)
    below = f"{prefix.rstrip('/')}/" if prefix else ""
    files = filesystem._iterdir(bucket, delimiter="", prefix=below)
    while True:
        page: list[Listed] = sync(filesystem.loop, _page, files)  # pyright: ignore
        if not page:
            return
        yield from page


def _finds(filesystem: Any) -> bool:
    """Whether a filesystem has a `find` of its own."""
    kind = type(filesystem)
    own = getattr(kind, "_find", AsyncFileSystem._find)
    return own is not AsyncFileSystem._find or kind.find is not AbstractFileSystem.find


def _walk(filesystem: Any, folder: str) -> Iterator[Listed]:
    """Paths of all files below a folder. fsspec's generic `find` silently skips folders that it
    cannot list."""
    pending = [folder]
    while pending:
        current = pending.pop()
        for info in retried(partial(_listed, filesystem, current, current == folder)):
            if info["type"] != "directory":
                yield info["name"], version_of(info)
            elif info["name"].rstrip("/") != current.rstrip("/"):
                pending.append(info["name"])


def _listed(filesystem: Any, folder: str, needed: bool) -> list[dict[str, Any]]:
    try:
        return filesystem.ls(folder, detail=True)
    except FileNotFoundError:
        if needed:
            raise
        return []  # it was deleted meanwhile, or is a dead link on the web


async def _page(files: AsyncIterator[dict[str, Any]]) -> list[Listed]:
    page: list[Listed] = []
    async for file in files:
        page.append((file["name"], version_of(file)))
        if len(page) == _PAGE:
            break
    return page


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not the user's data: .git, .DS_Store, __MACOSX ..."""
    return (name.startswith(".") and not is_dots(name)) or name == "__MACOSX"


def is_dots(name: str) -> bool:
    """Whether a part of a key is '.' or '..', which a path would resolve."""
    return name in (".", "..")


def has_glob(url: str) -> bool:
    """Whether a location may be a glob pattern."""
    return _MAGIC.search(url) is not None


def split_glob(pattern: str) -> tuple[str, str]:
    """The folder that all matches of a pattern lie in, and the pattern below that folder."""
    magic = _MAGIC.search(pattern)
    cut = pattern.rfind("/", 0, magic.start() if magic else len(pattern)) + 1
    return pattern[:cut], pattern[cut:]


def matching(files: Iterable[Listed], pattern: str) -> Iterator[Listed]:
    """The files that match a glob pattern, or lie in a folder that does."""
    match = re.compile(glob_translate(pattern)).match
    for key, version in files:
        if match(key) or any(match(key[: cut.start()]) for cut in re.finditer("/", key)):
            yield key, version


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    # A dangling link counts as a file: it becomes a row error instead of missing silently.
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True


def _version(entry: os.DirEntry[str]) -> str:
    try:
        return disk_version(entry.stat())
    except OSError:  # a dangling link
        return ""
