"""Sources of pictures: what lies in a folder, a file, a glob pattern or a bucket."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
from styleid_ray.storage.version import disk_version, version_of

__all__ = [
    "Source",
    "list_pictures",
    "picture_extensions",
    "read_bytes",
    "skipped_line",
    "takes",
]

# What Pillow opens, or stands in for, without being pictures: documents, films, containers.
_NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}
_DOTS = "with '.' or '..' in the key"
_NO_EXTENSION = "without an extension"
_MOST_KINDS = 5


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
    versions: tuple[str, ...] | None = field(default=None, repr=False, compare=False)
    """SIZE:TAG of each key's file, the tag its ETag or time of change; '' for a file without. None
    where nothing was listed or the listing does not tell (web servers, tables)."""
    skipped: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """Files that were left out of the listing, counted by kind."""

    @property
    def place(self) -> Source:
        """The same source without its listing: small enough to travel with every task."""
        return replace(self, keys=(), versions=None, skipped={})

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
        root, listed = _list_disk(absolute(path), what)
    else:
        # 'zip://a::/b.zip' is short for 'zip://a::file:///b.zip'.
        root, listed = _list_store(url.replace("::/", "::file:///"), what, storage_options)
    pictures, skipped = _pictures(listed, what, root)
    if not pictures:
        raise SourceError(_no_pictures(url, what, skipped))
    options = dict(storage_options or {})
    if not url.lower().startswith(("http://", "https://")):
        keys, versions = zip(*pictures, strict=True)
        return Source(root, keys, options, None, versions if any(versions) else None, skipped)
    # A presigned URL is known by its key without the signature, which is kept apart.
    named = {_key(root, key): join(root, key) for key, _ in pictures}
    full_urls = FullURLs.of(named.values())
    return Source(root, tuple(sorted(named)), options, full_urls, skipped=skipped)


def skipped_line(*sources: Source) -> str | None:
    """One line on the files that listings left out, counted by kind; None when there are none."""
    skipped = skipped_files(*sources)
    return f"left out: {in_words(skipped)}" if skipped else None


def skipped_files(*sources: Source) -> Counter[str]:
    """The files that listings left out, counted by kind; those of one root once."""
    counts: Counter[str] = Counter()
    for source in {source.root: source for source in sources}.values():
        counts.update(source.skipped)
    return counts


def in_words(skipped: Mapping[str, int]) -> str:
    """Counts of files by kind, the most first, on one line."""
    first = Counter(skipped).most_common(_MOST_KINDS)
    kinds = [f"{count:,} {shown(kind)}" for kind, count in first]
    more = sum(skipped.values()) - sum(count for _, count in first)
    return ", ".join([*kinds, f"{more:,} others"] if more else kinds)


def takes(url: str, location: str) -> bool:
    """Whether a picture that came to lie at a location would be one of `list_pictures(url)`."""
    url, location = _real(url), _real(location)
    folder, pattern = listing.split_glob(url)
    inside = location.startswith(url.rstrip("/") + "/")
    return inside or (
        listing.has_glob(url)
        and location.startswith(folder)
        and any(listing.matching([(location.removeprefix(folder), "")], pattern))
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


def _list_disk(path: str, what: str) -> tuple[str, Iterable[listing.Listed]]:
    # A real name goes first: 'photos [2020]' may well be a folder.
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
        info = _info(filesystem, path)
        # A web server tells a folder from a file only by the slash at the end.
        if info and info["type"] == "file" and not inner.endswith("/"):
            folder, name = _split_name(inner)
            return folder + chained, [(name, version_of(info))]
        if info:
            return url, listing.walk_store(filesystem, path)
        folder, pattern = listing.split_glob(inner)
        if not listing.has_glob(inner):
            raise _missing(url, what)
        filesystem, path = open_filesystem(folder + chained, options)
        listed = listing.walk_store(filesystem, path)
        return folder + chained, listing.matching(listed, pattern)
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


def _info(filesystem: Any, path: str) -> Mapping[str, Any] | None:
    for attempt in retrying():
        with attempt:
            try:
                return filesystem.info(path)
            except FileNotFoundError as error:
                # Of the web, fsspec says so whatever it was.
                if is_web(filesystem) and getattr(error.__cause__, "status", None) != 404:
                    raise error.__cause__ or error from None
                return None
    raise AssertionError("unreachable: the last attempt returns or raises")


def _pictures(
    listed: Iterable[listing.Listed], what: str, root: str
) -> tuple[list[listing.Listed], Mapping[str, int]]:
    """The pictures among files, sorted; and how many others there are of each kind."""
    extensions = picture_extensions()
    skipped: Counter[str] = Counter()
    pictures: list[listing.Listed] = []
    for key, version in listed:
        kind = extension(key if is_absolute(key) else f"{root}/{key}")
        if kind not in extensions:
            skipped[kind or _NO_EXTENSION] += 1
        elif any(map(listing.is_dots, key.split("/"))):
            skipped[_DOTS] += 1
        else:
            pictures.append((_safe(key, what, root), version))
    return sorted(pictures), dict(skipped)


def _no_pictures(url: str, what: str, skipped: Mapping[str, int]) -> str:
    counts = Counter(skipped)
    kinds = ", ".join(shown(kind) for kind, _ in counts.most_common(_MOST_KINDS))
    holds = f"{counts.total()} files, but no pictures ({kinds})" if counts else "no files"
    return (
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
