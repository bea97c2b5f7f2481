"""One location, on a disk or in an object store: whole-file writes, reads, listings."""

import io
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from styleid_ray.errors import OutputError, StyleIDError
from styleid_ray.storage.fetch import is_transient, retried
from styleid_ray.storage.locations import (
    Options,
    absolute,
    cannot_open,
    local_path,
    open_filesystem,
    shown,
)
from styleid_ray.storage.secrets import scrubbed, without_secrets
from styleid_ray.storage.trouble import impatient, no_answer, trouble
from styleid_ray.storage.version import version_of

_READ_ATTEMPTS, _WRITE_ATTEMPTS = 4, 10
_CHECK = "check permissions and credentials"
_ROOM = f"make room there, or {_CHECK}"
_DAMAGED = (pa.ArrowException, ValueError, OSError, EOFError, LookupError, TypeError)
"""Errors of reading a damaged file, which may lack a column or have a null in place of a value."""
T = TypeVar("T")


class Store:
    """Files under one URL. Their names are relative to it, with '/' between parts.

    Every write is whole or does not happen: on a disk a temporary file is renamed, in an object
    store it is one put or one completed multipart upload, and requests are retried for as long as
    an outage commonly lasts. Instances can be pickled and sent to any node.

    Raises OutputError when the URL cannot be opened, and later when a file cannot be written or
    read.

    Args:
        url: local path, or URL of any fsspec filesystem.
        storage_options: options of the filesystem.
        option: command-line option that gives the location, in place of the class's own.
    """

    option = "output"
    """The option that gives the location, for error messages."""
    work = "_run"
    """Folder of files that are not part of the result."""

    def __init__(self, url: str, storage_options: Options = None, option: str = "") -> None:
        self.option = option or self.option
        self.temporary = f"{self.work}/tmp/"
        """Prefix of the names of temporary files."""
        self.url = without_secrets(url.rstrip("/") or url)
        self.storage_options = storage_options
        if url.endswith("://"):
            raise OutputError(f"--{self.option} {url}: name a bucket, and a folder in it")
        try:
            self.fs, self.root = open_filesystem(url.rstrip("/") or url, storage_options)
        except Exception as e:  # each filesystem has its own errors
            message = scrubbed(cannot_open(url, e), storage_options)
            raise OutputError(f"--{self.option} {shown(url)}: {message}") from e

    @classmethod
    def at_file(cls, url: str, option: str, storage_options: Options = None) -> tuple[Self, str]:
        """The location of a single file, and the file's name there.

        Raises:
            OutputError: the URL names no file, or its location cannot be opened; the message names
                `option`.
        """
        path = local_path(url)
        folder, _, name = (url if path is None else absolute(path)).rpartition("/")
        if not name or url.endswith("/") or folder.endswith(":/"):
            raise OutputError(f"--{option} {shown(url)}: name a file, with its folder or bucket")
        store = cls(folder or "/", storage_options, option)
        store.temporary = ".styleid-ray-"
        return store, name

    @property
    def is_local(self) -> bool:
        """Whether it lies on a disk of this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """The path of a file on the filesystem `fs`."""
        return f"{self.root}/{name}"

    def check_reachable(self) -> None:
        """Raises OutputError within seconds when no server answers; other requests retry for
        longer, since an outage may end."""
        if self.is_local:
            return
        with self._reported("", "read"):
            try:
                impatient(self.fs).info(self.path(self.work))
            except Exception as e:  # the next requests report other faults
                if no_answer(e):
                    raise

    def check_writable(self) -> None:
        """Raises OutputError within seconds when nothing can be written here: a read-only folder, a
        full disk, a missing bucket, no answer from a server. A successful check leaves no file.
        """
        with self._reported("", "written"):
            if self.is_local:
                with tempfile.TemporaryFile(dir=_existing_parent(self.root)) as file:
                    file.write(bytes(2**12))
                    file.flush()
                    os.fsync(file.fileno())
                return
            fs, probe = impatient(self.fs), f"{self.temporary}probe"
            try:
                fs.pipe_file(self.path(probe), b"probe")
            except Exception as e:  # each filesystem has its own errors
                if no_answer(e) or not is_transient(e):
                    raise
                self.write(probe, b"probe")  # a busy server
            with suppress(Exception):  # the credentials may permit no deletion
                fs.rm_file(self.path(probe))

    def write(self, name: str, data: bytes) -> None:
        """Writes a whole file; a reader sees the old one or the new one, never a part."""
        if self.is_local:
            with self.writing(name) as file:
                file.write(data)
            return
        with self._reported(name, "written", _ROOM):
            retried(lambda: self.fs.pipe_file(self.path(name), data), _WRITE_ATTEMPTS, timeout=120)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to, put in place whole at the end of the block.

        After an error in the block no file is written; only an OSError becomes an OutputError.
        """
        with self._reported(name, "written", _ROOM, OSError), self._aside() as aside:
            with open(aside, "wb") as file:
                yield file
                file.flush()
                if self.is_local:
                    os.fsync(file.fileno())
            with self._reported(name, "written", _ROOM):
                self._put(aside, name)

    def _put(self, aside: str, name: str) -> None:
        path = self.path(name)
        if self.is_local:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.replace(aside, path)
        else:
            retried(lambda: self.fs.put_file(aside, path), _WRITE_ATTEMPTS, timeout=120)

    @contextmanager
    def _aside(self) -> Iterator[str]:
        """A name for a temporary file; for a target on a disk, on the same filesystem."""
        if not self.is_local:
            folder = tempfile.TemporaryDirectory("", "styleid-ray-", ignore_cleanup_errors=True)
            with folder as path:
                yield os.path.join(path, "file")
            return
        aside = self.path(f"{self.temporary}{uuid.uuid4().hex}")
        os.makedirs(os.path.dirname(aside), exist_ok=True)
        try:
            yield aside
        finally:
            with suppress(FileNotFoundError):  # it was renamed
                os.unlink(aside)

    def read(self, name: str) -> bytes:
        """A file's bytes; raises FileNotFoundError when it does not exist."""
        with self._reported(name, "read"):
            return self._retried(lambda: self.fs.cat_file(self.path(name)))

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        with self._reported(name, "read"):
            return self._retried(lambda: self.fs.exists(self.path(name)))

    def delete(self, name: str) -> None:
        """Removes a file, if it exists."""
        with self._reported(name, "removed"), suppress(FileNotFoundError):
            self._retried(lambda: self.fs.rm_file(self.path(name)))

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        """A file to read parts of, without read-ahead: a column of ids is read without the pictures
        beside it."""
        ahead = {} if self.is_local else {"cache_type": "none"}
        with self.fs.open(self.path(name), "rb", **ahead) as f:
            yield f

    def parsed(self, name: str, parse: Callable[[Any], T]) -> T:
        """The result of `parse` on an open file, which it may read in part.

        Only a whole read distinguishes a damaged file from a failed connection, so after a failure
        the whole file is read and parsed again.

        Raises:
            pyarrow.ArrowInvalid: the file is damaged.
            FileNotFoundError: it does not exist.
        """

        def read() -> T:
            with self.open(name) as f:
                return parse(f)

        try:
            with self._reported(name, "read"):
                return self._retried(read)
        except OutputError:
            data = self.read(name)
        try:
            return parse(io.BytesIO(data))
        except pa.ArrowInvalid:
            raise
        except _DAMAGED as e:  # all bytes were read, so they are at fault
            raise pa.ArrowInvalid(f"{type(e).__name__}: {shown(str(e))}"[:300]) from e

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file's rows; raises as `parsed`."""
        return self.parsed(name, lambda f: pq.read_table(f, columns=columns))

    def files(self, folder: str) -> list[str]:
        """Names of the Parquet files in a folder, sorted; none when the folder does not exist."""
        return [name for name in self.listed(folder) if name.endswith(".parquet")]

    def listed(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without hidden ones."""
        return sorted(self._listed(folder, self._ls(folder, detail=False)))

    def versions(self, folder: str) -> dict[str, str]:
        """Versions of the files that `listed` returns; '' where the filesystem has none."""
        infos = {info["name"]: info for info in self._ls(folder, detail=True)}
        named = self._listed(folder, infos)
        return {name: version_of(infos[path]) for name, path in sorted(named.items())}

    def _ls(self, folder: str, detail: bool) -> list[Any]:
        self.fs.invalidate_cache()
        try:
            with self._reported(folder, "listed"):
                return self._retried(lambda: self.fs.ls(self.path(folder), detail=detail))
        except FileNotFoundError:
            return []

    def _listed(self, folder: str, paths: Iterable[str]) -> dict[str, str]:
        """Paths of the files that are not hidden, by their names in the store."""
        names = {path.rstrip("/").rsplit("/", 1)[-1]: path for path in paths}
        return {f"{folder}/{n}": path for n, path in names.items() if n[:1] not in (".", "_")}

    def _retried(self, request: Callable[[], T]) -> T:
        return retried(request, 1 if self.is_local else _READ_ATTEMPTS)

    @contextmanager
    def _reported(
        self, name: str, done: str, remedy: str = _CHECK, kinds: type[Exception] = Exception
    ) -> Iterator[None]:
        """Turns errors of these kinds into OutputError, except for a file that is damaged, or
        missing when it is read."""
        try:
            yield
        except (pa.ArrowInvalid, StyleIDError):
            raise
        except kinds as e:  # each filesystem has its own errors
            if isinstance(e, FileNotFoundError) and done != "written":
                raise
            why, remedy = trouble(e, self.fs, self.root, self.storage_options, remedy)
            file = f"{self.url}/{name}" if name else self.url
            raise OutputError(f"{file} cannot be {done} ({why}): {remedy}") from e


def _existing_parent(path: str) -> str:
    """The path, or its nearest parent folder that exists."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
