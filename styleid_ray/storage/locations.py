"""Locations: local paths and the URLs of any fsspec filesystem, recognised and opened safely."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.core import url_to_fs
from fsspec.registry import known_implementations

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_LOCAL = re.compile(r"(?:file|local)://", re.IGNORECASE)
CHAIN = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.\-]*://)")
_QUERY = re.compile(r"(://[^?]{0,4096})\?[^\s'\"]+")
_USER = re.compile(r"://[^\s/?]+@")

_NO_SERVER = {"file", "local", "memory", "zip", "tar", "libarchive", "dir", "data"}

Options = Mapping[str, Any] | None


def is_absolute(key: str) -> bool:
    """Whether a key is a URL or an absolute path, not relative to a root."""
    return key.startswith("/") or _URL.match(key) is not None


def local_path(url: str) -> str | None:
    """The path of a location on this machine's disks; None for any other URL."""
    if CHAIN.search(url):
        return None
    prefix = _LOCAL.match(url)
    if prefix:
        return url[prefix.end() :]
    return None if _URL.match(url) else url


def join(root: str, key: str) -> str:
    """The location of a key below a root; a key that is a location stays unchanged."""
    if is_absolute(key):
        return key
    inner, chained = split_chain(root)
    return f"{inner if inner.endswith('://') else inner.rstrip('/') + '/'}{key}{chained}"


def split_chain(url: str) -> tuple[str, str]:
    """'zip://a/b' and '::s3://bucket/x.zip' of a chained URL; the URL and '' of any other."""
    chain = CHAIN.search(url)
    return (url[: chain.start()], url[chain.start() :]) if chain else (url, "")


def open_filesystem(url: str, options: Options) -> tuple[Any, str]:
    """The fsspec filesystem of a URL, and the path in it.

    Raises:
        ImportError: the protocol's package is not installed (the message names it).
        ValueError: there is no such protocol.
    """
    inner, chained = split_chain(url)
    if chained:
        # fsspec takes options under the protocol of the link that they are for.
        links = [_protocol(link) for link in CHAIN.split(url)]
        return url_to_fs(url, **{link: options_for(link, options) for link in links})
    # Only the protocol is looked up: fsspec would read '::' in a file's name as a chain of URLs.
    protocol = _protocol(inner)
    cls = fsspec.get_filesystem_class(protocol)
    own = options_for(protocol, options)
    filesystem = cls(**{**cls._get_kwargs_from_urls(inner), **own})
    return filesystem, cls._strip_protocol(inner)


def is_web(filesystem: Any) -> bool:
    """Whether it is fsspec's filesystem for web servers."""
    return "https" in filesystem.protocol


def cannot_open(url: str, error: Exception) -> str:
    """Why `open_filesystem` failed, with a remedy."""
    protocol = _protocol(url)
    if isinstance(error, ImportError):
        hint = known_implementations.get(protocol, {}).get("err") or shown(str(error))
        return f"{protocol}:// needs a package that is missing: {hint}"
    return (
        f"{shown(url)} cannot be opened ({shown(str(error))}); use a local path, s3://, gs://, "
        "https:// or another protocol that fsspec knows"
    )


def options_for(protocol: str, options: Options) -> dict[str, Any]:
    """The storage options for one protocol.

    Options below a protocol's name, `{"s3": {...}}`, are for that protocol alone. All others are
    for every object store and server, not for disks and archives.
    """
    options = dict(options or {})
    general = {name: value for name, value in options.items() if name not in known_implementations}
    own = options.get(protocol)
    return {**({} if protocol in _NO_SERVER else general), **(own or {})}


def _protocol(url: str) -> str:
    return url.split("://", 1)[0].lower() if _URL.match(url) else "file"


def shown(text: str) -> str:
    """A URL, or a message with URLs, ready to print: one line, without secrets.

    The query of a URL (a presigned signature) and its user part are replaced.
    """
    text = _USER.sub("://...@", _QUERY.sub(r"\1?...", text))
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def extension(location: str) -> str:
    """The extension of a key or URL, in lower case with its dot; '' where there is none."""
    if location.lower().startswith(("http://", "https://")):
        location = urlsplit(location).path  # a presigned URL has a query after the name
    return os.path.splitext(location)[1].lower()


def absolute(path: str) -> str:
    """A local path as an absolute one, '~' expanded."""
    return os.path.abspath(os.path.expanduser(path))
