"""Sources of pictures: what lies in a folder, a file, a glob pattern or a bucket."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from PIL import Image

from styleid_ray.errors import SourceError
from styleid_ray.storage import listing
from styleid_ray.storage.fetch import read_bytes, reason, retrying
from styleid_ray.storage.locations import (
    Options,
    absolute,
    cannot_open,
    extension,
    is_absolute,
    is_web,
    join,
    local_path,
    open_filesystem,
    shown,
    split_chain,
)
from styleid_ray.storage.secrets import FullURLs, without_secrets

__all__ = ["Source", "list_pictures", "picture_extensions", "read_bytes", "takes"]

# What Pillow opens, or stands in for, without being pictures: documents, films, containers.
_NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}


@dataclass(frozen=True)
class Source:
    """Pictures below one root. The keys do not change when the root moves."""

    root: str
    """Folder: absolute local path, or URL."""
    keys: tuple[str, ...] = field(repr=False)
    """Sorted paths relative to `root`, with '/' between folders; or URLs and absolute paths."""
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the filesystem is opened with; may hold secrets."""
    full_urls: FullURLs | None = field(default=None, repr=False, compare=False)
    """Where keys lie whose URLs hold secrets."""

    def url(self, key: str) -> str:
        """The location of a key; a key that is a URL or an absolute path is its own location.
        It may hold secrets."""
        location = join(self.root, key)
        if self.full_urls is None:
            return location
        return self.full_urls.get(without_secrets(location)) or location


def list_pictures(url: str, what: str, storage_options: Options = None) -> Source:
    """Find the pictures of a folder (walked recursively), a single file, or a glob pattern.

    A picture is a file with an extension that Pillow reads, in upper or lower case. Hidden files
    and folders are left out; a folder that matches a pattern is walked.

    Args:
        url: local path, or URL of any fsspec filesystem.
        what: "content" or "style", for the error messages.
        storage_options: what the filesystem is opened with.

    Raises:
        SourceError: the location is missing, cannot be read, or holds no pictures.
    """
    path = local_path(url)
    if path is not None:
        root, found = _find_on_disk(absolute(path), what)
    else:
        # 'zip://a::/b.zip' is short for 'zip://a::file:///b.zip'.
        root, found = _find_in_store(url.replace("::/", "::file:///"), what, storage_options)
    keys = _pictures(found, url, what, root)
    options = dict(storage_options or {})
    if not url.lower().startswith(("http://", "https://")):
        return Source(root, keys, options)
    # A presigned URL is known by its key without the signature, which is kept apart.
    named = {_key(root, key): join(root, key) for key in keys}
    return Source(root, tuple(sorted(named)), options, FullURLs.of(named.values()))


def takes(url: str, location: str) -> bool:
    """Whether a picture that came to lie at a location would be one of `list_pictures(url)`."""
    url, location = _real(url), _real(location)
    folder, pattern = listing.split_glob(url)
    inside = location.startswith(url.rstrip("/") + "/")
    return inside or (
        listing.has_glob(url)
        and location.startswith(folder)
        and any(listing.matching([location.removeprefix(folder)], pattern))
    )


def _real(url: str) -> str:
    path = local_path(url)
    return url if path is None else os.path.realpath(absolute(path))


def _key(root: str, key: str) -> str:
    return without_secrets(join(root, key)).removeprefix(without_secrets(root))


@cache
def picture_extensions() -> frozenset[str]:
    """Extensions of the picture formats that Pillow reads, in lower case with their dot."""
    return frozenset(
        extension.lower()
        for extension, name in Image.registered_extensions().items()  # loads every plugin
        if name in Image.OPEN and name not in _NOT_PICTURES
    )


def _find_on_disk(path: str, what: str) -> tuple[str, Iterable[str]]:
    # A real name goes first: 'photos [2020]' may well be a folder.
    if os.path.isdir(path):
        return path, listing.walk_disk(path, what)
    if os.path.isfile(path):
        return os.path.dirname(path), [os.path.basename(path)]
    folder, pattern = listing.split_glob(path)
    if listing.has_glob(path) and os.path.isdir(folder):
        return folder, listing.matching(listing.walk_disk(folder, what), pattern)
    raise _missing(path, what)


def _find_in_store(url: str, what: str, options: Options) -> tuple[str, Iterable[str]]:
    try:
        filesystem, path = open_filesystem(url, options)
    except Exception as error:  # each filesystem has its own errors
        raise SourceError(f"--{what}: {cannot_open(url, error)}") from error
    inner, chained = split_chain(url)
    try:
        kind = _kind(filesystem, path)
        # A web server tells a folder from a file only by the slash at the end.
        if kind == "file" and not inner.endswith("/"):
            folder, name = _split_name(inner)
            return folder + chained, [name]
        if kind:
            return url, listing.walk_store(filesystem, path)
        folder, pattern = listing.split_glob(inner)
        if not listing.has_glob(inner):
            raise _missing(url, what)
        filesystem, path = open_filesystem(folder + chained, options)
        found = listing.walk_store(filesystem, path)
        return folder + chained, listing.matching(found, pattern)
    except SourceError:
        raise
    except Exception as error:  # each filesystem has its own errors
        raise SourceError(
            f"--{what}: cannot list {shown(url)}: {reason(error, options)}; check the address, the "
            "credentials and the endpoint"
        ) from error


def _split_name(url: str) -> tuple[str, str]:
    path = url.partition("?")[0] if url.lower().startswith(("http://", "https://")) else url
    cut = path.rindex("/") + 1
    return url[:cut], url[cut:]


def _kind(filesystem: Any, path: str) -> str | None:
    for attempt in retrying():
        with attempt:
            try:
                return "file" if filesystem.info(path)["type"] == "file" else "directory"
            except FileNotFoundError as error:
                # Of the web, fsspec says so whatever it was.
                if is_web(filesystem) and getattr(error.__cause__, "status", None) != 404:
                    raise error.__cause__ or error from None
                return None
    raise AssertionError("unreachable: the last attempt returns or raises")


def _pictures(found: Iterable[str], url: str, what: str, root: str) -> tuple[str, ...]:
    extensions = picture_extensions()
    others: Counter[str] = Counter()
    keys: list[str] = []
    for key in found:
        kind = extension(key if is_absolute(key) else f"{root}/{key}")
        if kind in extensions:
            keys.append(_safe(key, what, root))
        else:
            others[kind or "no extension"] += 1
    if keys:
        return tuple(sorted(keys))
    seen = ", ".join(shown(kind) for kind, _ in others.most_common(5))
    holds = f"{others.total()} files, but no pictures ({seen})" if others else "no files"
    raise SourceError(
        f"--{what}: {shown(url)} holds {holds}; name a folder, file or pattern of pictures such "
        "as .jpg, .png, .webp or .tif"
    )


def _safe(key: str, what: str, root: str) -> str:
    try:
        key.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"--{what}: the file name {key!r} in {shown(root)} is not UTF-8; rename it"
        ) from None
    # In an object store 'folder//etc/x.png' is a key as any other; it must not become a path.
    return f"{root.rstrip('/')}/{key}" if is_absolute(key) else key


def _missing(url: str, what: str) -> SourceError:
    return SourceError(
        f"--{what}: {shown(url)} does not exist; name a folder, a file or a glob pattern"
    )
