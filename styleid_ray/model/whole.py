"""Checks that weights were downloaded whole."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from styleid_ray.errors import ModelError

_INDEX = 8
"""Bytes of a safetensors file that hold the length of its header."""
_MOST_HEADER = 100 * 2**20


def check_whole(what: str, weights: Sequence[str], folder: Path | None) -> None:
    """Refuses weights that were downloaded in part.

    Args:
        what: the owner of the weights, for the message.
        weights: names of the safetensors files.
        folder: of the files; None for files on the hub, of which only names are checked.

    Raises:
        ModelError: a file is missing, or shorter or longer than its header says.
    """
    present, wanted = len(weights), count_shards(weights)
    if present < wanted:
        raise ModelError(
            f"{what} has {present} of the {wanted} files of its weights: download the others too"
        )
    for name in weights if folder else ():
        path = Path(folder or "") / name
        size, whole = path.stat().st_size, _whole_size(path)
        if whole is None and not _has_beginning(path):
            raise ModelError(
                f"{what}: {name} is not a safetensors file, or is damaged: download it again"
            )
        if size != whole:
            raise ModelError(
                f"{what}: {name} is cut off or damaged"
                + (f" ({size:,} of {whole:,} bytes)" if whole else "")
                + ": download it again"
            )


def count_shards(weights: Sequence[str]) -> int:
    """The number of files that the weights are split into, by their names."""
    counts = (re.search(r"-of-(\d{5})", name) for name in weights)
    return max((int(match[1]) for match in counts if match), default=1)


def read_header(path: Path) -> dict[str, Any] | None:
    """Names, shapes, types and places of the tensors of a safetensors file, and its metadata under
    the name `__metadata__`; None if unreadable."""
    try:
        with path.open("rb") as f:
            length = int.from_bytes(f.read(_INDEX), "little")
            header = json.loads(f.read(length)) if 0 < length <= _MOST_HEADER else None
    except (OSError, ValueError):
        return None
    return header if isinstance(header, dict) else None


def read_tensor(path: Path, entry: Mapping[str, Any]) -> bytes:
    """The bytes of a tensor, by its entry in the file's header."""
    first, last = entry["data_offsets"]
    with path.open("rb") as f:
        start = _INDEX + int.from_bytes(f.read(_INDEX), "little")
        f.seek(start + first)
        return f.read(last - first)


def _has_beginning(path: Path) -> bool:
    """Whether a file begins like safetensors, with a header's length and its brace."""
    with path.open("rb") as f:
        length, brace = int.from_bytes(f.read(_INDEX), "little"), f.read(1)
    return 0 < length <= _MOST_HEADER and brace == b"{"


def _whole_size(path: Path) -> int | None:
    """Bytes of a safetensors file by its header; None if the header is unreadable."""
    header = read_header(path)
    if header is None:
        return None
    try:
        with path.open("rb") as f:
            length = int.from_bytes(f.read(_INDEX), "little")
        ends = [value["data_offsets"][1] for name, value in header.items() if name[:2] != "__"]
        return _INDEX + length + max(ends, default=0)
    except (OSError, KeyError, TypeError, IndexError):
        return None
