"""Why a location cannot be used, with remedies."""

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
# Whether a server answers should be known within seconds, not after minutes of retries.
_IMPATIENT = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 1}}


def impatient(fs: Any) -> Any:
    """The same filesystem; on S3, with short timeouts and few retries."""
    if "s3" not in fs.protocol:
        return fs
    config = {**_IMPATIENT, **fs.storage_options.get("config_kwargs", {})}
    impatient = type(fs)(*fs.storage_args, **{**fs.storage_options, "config_kwargs": config})
    impatient.retries = 1
    return impatient


def no_answer(error: BaseException) -> bool:
    """Whether an address has no server, or one that does not answer."""
    return any(kind.__name__ in _NO_ANSWER for kind in type(error).__mro__)


def trouble(
    error: BaseException, filesystem: object, root: str, options: Options, remedy: str
) -> tuple[str, str]:
    """Reason and remedy of a failed request, each a short text without secrets.

    Args:
        error: raised by the filesystem.
        root: path on the filesystem; its first part is the bucket of an object store.
        options: storage options, whose values do not appear.
        remedy: used where the error suggests no other.
    """
    why = reason(error, options)
    if isinstance(error, OSError) and error.errno in _FULL:
        return why, "make room there"
    if no_answer(error):
        return f"no server answers: {why}", "check the endpoint's URL and the network"
    if is_lost_upload(error):
        return "the store dropped the upload each time", remedy
    if isinstance(error, FileNotFoundError) and not isinstance(filesystem, LocalFileSystem):
        bucket = root.strip("/").split("/", 1)[0]
        return f"there is no bucket or container {bucket}", "create it, or check the URL"
    return why, remedy
