"""Every file of a location: a folder, a single file, a glob pattern or a bucket."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.imaging.formats import picture_extensions
from styleid_ray.storage import listing
from styleid_ray.storage.fetch import reason, retried
from styleid_ray.storage.locations import (
    Options,
    absolute,
    cannot_open,
    extension,
    is_absolute,
    is_web,
    local_path,
    open_filesystem,
    shown,
    split_chain,
)
from styleid_ray.storage.version import disk_version, version_of

_CHUNK = 2**16
_DOTS = "with '.' or '..' in the key"
_NO_EXTENSION = "without an extension"
_NOT_TEXT = "with a name that is not UTF-8"


@dataclass(frozen=True)
class Files:
    """The files of a location, sorted by their names."""

    url: str
    """The location as the user gave it."""
    root: str
    """Folder that the names are relative to: absolute local path, or URL."""
    names: Keys = field(repr=False)
    versions: Keys = field(repr=False)
    """'' for a file whose version is not known."""
    nameless: tuple[str, ...] = ()
    """What is wrong with the names of all other files, one entry per file."""

    @property
    def is_web(self) -> bool:
        """Whether they lie on a web server."""
        return self.url.lower().startswith(("http://", "https://"))

    def ending(self, *extensions: str) -> Files:
        """The files with one of these extensions, in lower case with their dot."""
        kinds = Keys(map(self.kind, self.names)).array
        return self._filtered(pc.is_in(kinds, value_set=pa.array(extensions)))

    def pictures(self) -> Files:
        """The files with an extension that Pillow reads."""
        return self.ending(*picture_extensions())

    def matching(self, pattern: str) -> Files:
        """The files whose names match a regular expression from their start."""
        pattern = pattern.replace(r"\Z", r"\z")  # RE2's syntax
        return self._filtered(pc.match_substring_regex(self.names.array, rf"\A(?:{pattern})"))

    def kind(self, name: str) -> str:
        """The extension of a name, in lower case with its dot; '' where there is none."""
        return extension(name if is_absolute(name) else f"{self.root}/{name}")

    def kinds(self) -> Counter[str]:
        """How many files there are of each extension."""
        return Counter(self.kind(name) or _NO_EXTENSION for name in self.names)

    def as_source(
        self, options: Options, skipped: Mapping[str, int], splits: Keys | None = None
    ) -> Source:
        """These files as the pictures of a source."""
        versions = self.versions if any(self.versions) else None
        options = dict(options or {})
        return Source(self.root, self.names, options, None, versions, skipped, splits=splits)

    def _filtered(self, mask: pa.BooleanArray) -> Files:
        names, versions = (Keys(c.array.filter(mask)) for c in (self.names, self.versions))
        return replace(self, names=names, versions=versions)


def list_files(url: str, what: str, storage_options: Options = None) -> Files:
    """List the files of a folder (walked recursively), a single file, or a glob pattern.

    Hidden files and folders are left out; a folder that matches a pattern is walked.

    Args:
        url: local path, or URL of any fsspec filesystem.
        what: the option that gives the location, for error messages: "content", "style" ...
        storage_options: options of the filesystem.

    Raises:
        SourceError: the location is missing or cannot be read.
    """
    path = local_path(url)
    if path is not None:
        root, listed = _list_disk(absolute(path), what)
    else:
        # 'zip://a::/b.zip' is short for 'zip://a::file:///b.zip'.
        root, listed = _list_store(url.replace("::/", "::file:///"), what, storage_options)
    nameless: list[str] = []
    table = pa.concat_tables([_EMPTY, *_tables(listed, what, root, nameless)]).combine_chunks()
    table = table.sort_by("name").combine_chunks()
    names, versions = Keys.column(table["name"]), Keys.column(table["version"])
    return Files(url, root, names, versions, tuple(nameless))


_EMPTY = pa.schema([("name", pa.string()), ("version", pa.string())]).empty_table()


def _tables(
    listed: Iterable[listing.Listed], what: str, root: str, nameless: list[str]
) -> Iterator[pa.Table]:
    listed = iter(listed)
    while chunk := list(islice(listed, _CHUNK)):
        kept = [one for one in chunk if _has_name(one[0], what, root, nameless)]
        # In an object store 'folder//etc/x.png' is a valid key; it must not become /etc/x.png.
        names = [f"{root.rstrip('/')}/{n}" if is_absolute(n) else n for n, _ in kept]
        yield pa.table(
            [pa.array(names, pa.string()), pa.array([v for _, v in kept], pa.string())],
            schema=_EMPTY.schema,
        )


def _has_name(name: str, what: str, root: str, nameless: list[str]) -> bool:
    """Whether a name can be a key; raises SourceError for a picture whose name is not UTF-8."""
    if any(map(listing.is_dots, name.split("/"))):
        nameless.append(_DOTS)
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        if extension(name) in picture_extensions():
            raise SourceError(
                f"--{what}: the file name {name!r} in {shown(root)} is not UTF-8; rename it"
            ) from None
        nameless.append(_NOT_TEXT)
        return False
    return True


def _list_disk(path: str, what: str) -> tuple[str, Iterable[listing.Listed]]:
    # An existing name is no pattern: 'photos [2020]' may be a folder.
    if os.path.isdir(path):
        return path, listing.walk_disk(path, what)
    if os.path.isfile(path):
        name = os.path.basename(path)
        return os.path.dirname(path), [(name, disk_version(os.stat(path)))]
    folder, pattern = listing.split_glob(path)
    if listing.has_glob(path) and os.path.isdir(folder):
        return folder, listing.matching(listing.walk_disk(folder, what), pattern)
    raise _missing(path, what)


def _list_store(url: str, what: str, options: Options) -> tuple[str, Iterable[listing.Listed]]:
    try:
        filesystem, path = open_filesystem(url, options)
    except Exception as error:  # each filesystem has its own errors
        raise SourceError(f"--{what}: {cannot_open(url, error)}") from error
    inner, chained = split_chain(url)
    try:
        info = retried(lambda: _info(filesystem, path))
        # A web server marks a folder only by the slash at the end.
        if info and info["type"] == "file" and not inner.endswith("/"):
            # A presigned URL has a query after the name, which may hold slashes.
            cut = (inner.partition("?")[0] if is_web(filesystem) else inner).rindex("/") + 1
            return inner[:cut] + chained, [(inner[cut:], version_of(info))]
        if info:
            return url, listing.walk_store(filesystem, path)
        folder, pattern = listing.split_glob(inner)
        if not listing.has_glob(inner):
            raise _missing(url, what)
        listed = listing.walk_store(*open_filesystem(folder + chained, options))
        return folder + chained, listing.matching(listed, pattern)
    except SourceError:
        raise
    except Exception as error:  # each filesystem has its own errors
        raise SourceError(
            f"--{what}: cannot list {shown(url)}: {reason(error, options)}; check the address, the "
            "credentials and the endpoint"
        ) from error


def _info(filesystem: Any, path: str) -> Mapping[str, Any] | None:
    try:
        return filesystem.info(path)
    except FileNotFoundError as error:
        # fsspec's filesystem for the web raises this for any failure.
        if is_web(filesystem) and getattr(error.__cause__, "status", None) != 404:
            raise error.__cause__ or error from None
        return None


def _missing(url: str, what: str) -> SourceError:
    return SourceError(
        f"--{what}: {shown(url)} does not exist; name a folder, a file or a glob pattern"
    )
