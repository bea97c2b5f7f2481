"""Bytes of one file from anywhere, with retries for what passes and an error for what stays."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable

import stamina

from styleid_ray.errors import RowError
from styleid_ray.storage.locations import Options, local_path, open_filesystem, shown
from styleid_ray.storage.secrets import scrubbed

# It would tell each error, with the signed URL that is in it; and a retry that works is no news.
logging.getLogger("stamina").setLevel(logging.ERROR)

ATTEMPTS = 4
"""Attempts to read one file, with exponential backoff and jitter between them."""
_MOST_BYTES = 2**32
"""Larger files are no pictures, and would take all the memory there is."""

_PERMANENT = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ImportError,
    ValueError,
    TypeError,
    NotImplementedError,
)
_PERMANENT_BY_NAME = {"NoCredentialsError", "PartialCredentialsError", "ParamValidationError"}


def read_bytes(url: str, storage_options: Options = None) -> bytes:
    """Read one whole file.

    Args:
        url: local path, or URL of any fsspec filesystem.
        storage_options: what the filesystem is opened with (credentials, endpoint ...).

    Raises:
        RowError: stage "fetch", when the file is not there, may not be read, or still fails
            after a few attempts.
    """
    path = local_path(url)
    try:
        return _read_local(path) if path is not None else _read_remote(url, storage_options)
    except RowError:
        raise
    except Exception as error:  # each filesystem has its own errors
        raise RowError("fetch", reason(error, storage_options)) from error


def retrying(attempts: int = 2, timeout: float = 60) -> Iterable[stamina.Attempt]:
    """Attempts around a request, for `for attempt in retrying(): with attempt: ...`.

    Two are enough while planning: many filesystems try again by themselves, and a wrong endpoint
    should be said soon.
    """
    return stamina.retry_context(
        on=is_transient,
        attempts=attempts,
        timeout=timeout,
        wait_initial=0.2,
        wait_max=5,
        wait_jitter=1,
    )


def is_transient(error: Exception) -> bool:
    """Whether the same request may well succeed a moment later."""
    if isinstance(error, _PERMANENT) or type(error).__name__ in _PERMANENT_BY_NAME:
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in (408, 425, 429)
    return True


def reason(error: BaseException, storage_options: Options = None) -> str:
    """Why a file cannot be read: one short line without secrets."""
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, not a file"
    said = scrubbed(shown(str(error)), storage_options)
    return f"{type(error).__name__}: {said}"[:300]


def _read_local(path: str) -> bytes:
    # Opening a pipe would wait for its writer for ever.
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise RowError("fetch", "it is a pipe or a device, not a file")
    if status.st_size > _MOST_BYTES:
        raise RowError("fetch", f"the file has {status.st_size:,} bytes, more than 4 GiB")
    with open(path, "rb") as file:
        return file.read()


def _read_remote(url: str, options: Options) -> bytes:
    filesystem, path = open_filesystem(url, options)
    for attempt in retrying(ATTEMPTS):
        with attempt:
            return filesystem.cat_file(path)
    raise AssertionError("unreachable: the last attempt returns or raises")
