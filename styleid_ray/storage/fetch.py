"""Bytes of one file from anywhere; transient failures are retried."""

import io
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import stamina
from fsspec.asyn import sync

from styleid_ray.errors import RowError
from styleid_ray.storage.locations import Options, is_web, local_path, open_filesystem, shown
from styleid_ray.storage.secrets import scrubbed
from styleid_ray.storage.version import disk_version, version_of

# stamina would log every failure, signed URLs included; successful retries need no log line.
logging.getLogger("stamina").setLevel(logging.ERROR)

T = TypeVar("T")

ATTEMPTS = 4
"""Attempts to read one file."""
_PIECE = 2**20

_PERMANENT = (
    RowError,
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


@dataclass(frozen=True)
class Fetched:
    """A whole file."""

    data: bytes = field(repr=False)
    version: str = ""
    """Its version in a listing of its filesystem; '' where that has none, as on web servers."""


def read_bytes(url: str, storage_options: Options = None) -> bytes:
    """The bytes of one whole file of any size; raises as `fetch`."""
    return fetch(url, storage_options).data


def fetch(url: str, storage_options: Options = None, max_bytes: int | None = None) -> Fetched:
    """Read one whole file.

    Args:
        url: local path, or URL of any fsspec filesystem.
        storage_options: options of the filesystem (credentials, endpoint ...).
        max_bytes: larger files are refused; at most this many bytes are read.

    Raises:
        RowError: stage "fetch", when the file does not exist, is too large, may not be read, or
            still fails after a few attempts.
    """
    path = local_path(url)
    with row_errors(storage_options):
        if path is not None:
            return _read_local(path, max_bytes)
        filesystem, remote = open_filesystem(url, storage_options)
        return retried(lambda: _read_remote(filesystem, remote, max_bytes), ATTEMPTS)


def retried(request: Callable[[], T], attempts: int = 2, timeout: float = 60) -> T:
    """The result of a request, repeated while it fails transiently, with exponential backoff and
    jitter.

    Two attempts are enough while planning: many filesystems retry by themselves, and a wrong
    endpoint should be reported soon.
    """
    call = stamina.RetryingCaller(attempts, timeout, wait_initial=0.2, wait_max=5, wait_jitter=1)
    return call(is_transient, request)


@contextmanager
def row_errors(options: Options) -> Iterator[None]:
    """Turns any error of a filesystem into a RowError of stage "fetch"."""
    try:
        yield
    except RowError:
        raise
    except Exception as error:  # each filesystem has its own errors
        raise RowError("fetch", reason(error, options)) from error


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if is_lost_upload(error):
        return True
    if isinstance(error, _PERMANENT) or type(error).__name__ in _PERMANENT_BY_NAME:
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in (408, 425, 429)
    return True


def is_lost_upload(error: BaseException) -> bool:
    """Whether S3 no longer knows a multipart upload, which s3fs calls a missing file."""
    answer = getattr(error.__cause__, "response", None) or {}
    return answer.get("Error", {}).get("Code") == "NoSuchUpload"


def reason(error: BaseException, storage_options: Options = None) -> str:
    """Why a file cannot be read: one short line without secrets."""
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, not a file"
    message = scrubbed(shown(str(error)), storage_options)
    return f"{type(error).__name__}: {message}"[:300]


def _read_local(path: str, max_bytes: int | None) -> Fetched:
    # Opening a pipe would wait forever for its writer.
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise RowError("fetch", "it is a pipe or a device, not a file")
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        check_size(status.st_size, max_bytes)
        return Fetched(file.read(status.st_size), disk_version(status))


def _read_remote(filesystem: Any, path: str, max_bytes: int | None) -> Fetched:
    if is_web(filesystem):
        return Fetched(sync(filesystem.loop, _streamed, filesystem, path, max_bytes))  # pyright: ignore
    info = filesystem.info(path)
    if info["type"] == "directory":
        raise IsADirectoryError(path)
    size = info.get("size")
    if size is None:
        with filesystem.open(path, "rb") as file:
            data = file.read(-1 if max_bytes is None else max_bytes + 1)
        check_size(len(data), max_bytes)
        return Fetched(data)
    check_size(size, max_bytes)
    # A range: a file that has grown is not read further, and its size is not requested again.
    data = filesystem.cat_file(path, start=0, end=size) if size else b""
    return Fetched(data, version_of(info))


async def _streamed(filesystem: Any, url: str, max_bytes: int | None) -> bytes:
    """A file of a web server in one GET; a presigned URL allows no other request."""
    session = await filesystem.set_session()
    async with session.get(filesystem.encode_url(url), **filesystem.kwargs) as answer:
        if answer.status == 404:
            raise FileNotFoundError(url)
        answer.raise_for_status()
        check_size(answer.content_length or 0, max_bytes)
        file = io.BytesIO()
        async for piece in answer.content.iter_chunked(_PIECE):
            file.write(piece)
            check_size(file.tell(), max_bytes)
        return file.getvalue()


def check_size(size: int, max_bytes: int | None) -> None:
    """Raises RowError when a picture has more than `max_bytes` bytes."""
    if max_bytes is not None and size > max_bytes:
        raise RowError("fetch", f"the file has more than {max_bytes:,} bytes (--max-bytes)")
