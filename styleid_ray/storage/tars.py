"""Tars read by their headers: where each member lies, without reading its content."""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from styleid_ray.storage.fetch import ATTEMPTS, retried
from styleid_ray.storage.locations import Options, local_path, open_filesystem
from styleid_ray.storage.members import Range, read_part

_LITTLE, _MUCH = 2**14, 2**22
_GAP = 2**20
"""Larger members are skipped, smaller ones read with their headers: a request takes about as long
as a megabyte."""
_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a tar."""

    name: str
    """Bytes other than UTF-8 are escaped."""
    start: int
    """First byte of its headers."""
    data: Range
    end: int
    """First byte after its padding."""
    regular: bool
    """Whether it is a file, and not a link or a device."""


class TarError(Exception):
    """A tar that is damaged, or of a kind that cannot be read in parts."""


def members(file: BinaryIO) -> Iterator[Member]:
    """The members of an uncompressed GNU, pax or ustar tar in order, except folders; raises
    TarError, with the reason, for a tar that is damaged or ends early."""
    try:
        # "r:" refuses compressed files, which could not be read in parts.
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # pyright: ignore  # else it keeps every member
                if not info.isdir():
                    yield _member(info)
            _check_end(file, tar.offset)
    except tarfile.TarError as error:
        raise TarError(str(error)) from error


def _member(info: tarfile.TarInfo) -> Member:
    if info.issparse():
        raise TarError(f"{info.name} is stored sparse")
    # A link has the size of its target and no data of its own.
    size = info.size if info.isreg() else 0
    end = info.offset_data + -(-size // _BLOCK) * _BLOCK
    return Member(info.name, info.offset, Range(info.offset_data, size), end, info.isreg())


def _check_end(file: BinaryIO, offset: int) -> None:
    """Raises TarError where the tar does not end here: tarfile takes a damaged header for the end,
    which only zeros or the end of the file are."""
    file.seek(offset)
    header = file.read(_BLOCK)
    if header.strip(b"\0"):
        raise TarError(f"no header of a member at byte {offset:,}")


def open_tar(url: str, options: Options, size: int | None = None) -> BinaryIO:
    """A tar whose headers will be read; in an object store, large members are skipped.

    Raises TarError when the server does not report the file's size, which `size` may give.
    """
    path = local_path(url)
    if path is not None:
        return open(path, "rb")
    filesystem, path = open_filesystem(url, options)

    def read(start: int, end: int) -> bytes:
        return retried(lambda: read_part(filesystem, path, start, end), ATTEMPTS)

    size = filesystem.size(path) if size is None else size
    if size is None:
        raise TarError("the server does not report its size")
    return cast(BinaryIO, Hopping(read, size))


class Hopping(io.RawIOBase):
    """A file on a server, read in large pieces while it is read in sequence, and in small ones by a
    reader that hops from header to header.

    Args:
        read: returns the bytes from a start to an end.
        size: of the file in bytes.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._position, self._start, self._held = 0, -_MUCH, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        start = min(self._position, self._size)
        end = self._size if size < 0 else min(start + size, self._size)
        if start < self._start or end > self._start + len(self._held):
            self._hold(start, end)
        self._position = end
        return self._held[start - self._start : end - self._start]

    def _hold(self, start: int, end: int) -> None:
        # In sequence is a read that starts in the held bytes, or shortly after them.
        in_sequence = self._start <= start < self._start + len(self._held) + _GAP
        end = min(max(end, start + (_MUCH if in_sequence else _LITTLE)), self._size)
        held = self._read(start, end)
        if len(held) != end - start:
            raise TarError(
                "the server does not serve parts of files"
                if len(held) > end - start
                else "it is shorter than when it was listed"
            )
        self._start, self._held = start, held
