"""Reasons why a location cannot be used, with remedies."""

from __future__ import annotations

import errno
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from styleid_ray.storage.fetch import is_lost_upload, reason
from styleid_ray.storage.locations import Options

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ANSWER = {
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"),  # botocore
    *("ProxyConnectionError", "ClientConnectorError", "ConnectionRefusedError", "gaierror"),
}
# A client that learns within seconds whether a server answers, instead of trying for minutes.
_IMPATIENT = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 1}}


def impatient(fs: Any) -> Any:
    """The same filesystem with short timeouts and few retries, where it has such options (S3)."""
    if "s3" not in fs.protocol:
        return fs
    config = {**_IMPATIENT, **fs.storage_options.get("config_kwargs", {})}
    impatient = type(fs)(*fs.storage_args, **{**fs.storage_options, "config_kwargs": config})
    impatient.retries = 1
    return impatient


def no_answer(error: BaseException) -> bool:
    """Whether there is no server at an address, or one that does not answer."""
    return any(kind.__name__ in _NO_ANSWER for kind in type(error).__mro__)


def trouble(
    error: BaseException, filesystem: object, root: str, options: Options, remedy: str
) -> tuple[str, str]:
    """Reason and remedy of a failed request, each a short text without secrets.

    Args:
        error: what the filesystem raised.
        filesystem: the fsspec filesystem.
        root: path on it; its first part is the bucket of an object store.
        options: storage options, whose values are left out.
        remedy: for errors that do not suggest one.
    """
    why = reason(error, options)
    if isinstance(error, OSError) and error.errno in _FULL:
        return why, "make room there"
    if no_answer(error):
        return f"no server answers: {why}", "check the endpoint's URL and the network"
    if is_lost_upload(error):
        return "the store gave up the upload again and again", remedy
    if isinstance(error, FileNotFoundError) and not isinstance(filesystem, LocalFileSystem):
        bucket = root.strip("/").split("/", 1)[0]
        return f"there is no bucket or container {bucket}", "create it, or check the URL"
    return why, remedy
