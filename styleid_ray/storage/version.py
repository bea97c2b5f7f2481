"""Versions of files: a short text from the filesystem that changes when the file does."""

import os
from collections.abc import Mapping
from typing import Any

# Fields of a filesystem that change with a file's content, the best first.
_TAGS = (
    "ETag",
    "etag",
    "md5Hash",
    "CRC",
    "LastModified",
    "blob_id",
    "Last-Modified",
    "last_modified",
    "mtime",
)


def version_of(info: Mapping[str, Any]) -> str:
    """SIZE:TAG of a file that fsspec describes; '' where not even its size is known."""
    size = info.get("size")
    if size is None:
        return ""
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
    return f"{size}:{tag.strip(chr(34))}"


def disk_version(status: os.stat_result) -> str:
    """SIZE:TIME of a file on a disk, with its modification time in nanoseconds."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def size_in(version: str) -> int | None:
    """The size in bytes that a version begins with."""
    size = version.partition(":")[0]
    return int(size) if size else None
