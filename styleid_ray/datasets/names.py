"""File names of exported pictures, from the names of content and style."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from styleid_ray.storage.secrets import digests

Mode = Literal["stem", "path", "hash"]
_OTHER = re.compile(r"(?:[^\w-]|_)+")
_TAKEN = {"samples", "readme", "con", "prn", "aux", "nul"}
_TAKEN |= {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
"""Names of an export's own files, and names that Windows reserves for devices."""
_ID = 12
"""Digits of a pair's id in a name."""
_MOST = 80
"""Bytes of a name for one picture."""


@dataclass(frozen=True)
class Names:
    """Names NAME__STYLE of pictures, unique in an export of any pairs.

    A picture is named by its stem where all pictures of its kind have different stems, else by its
    path, else by path and hash. Names hold no dots, and no part of one holds two underscores.
    """

    content: Mode
    style: Mode
    ids: bool = False
    """Whether names of results end in a part of the pair's id, since several pairs may have the
    same content, style and k."""

    @classmethod
    def of(cls, contents: Sequence[str], styles: Sequence[str], ids: bool = False) -> Names:
        """The shortest names that distinguish some contents and styles; `ids` as the field."""
        return cls(_shortest(contents), _shortest(styles), ids)

    def stylised(self, content: str, style: str, k: int, pair_id: str = "") -> str:
        """The name of a result."""
        parts = [part(content, self.content), part(style, self.style)]
        if k:
            parts.append(str(k))
        if self.ids:
            parts.append(pair_id[:_ID])
        return "__".join(parts)

    def original(self, content: str) -> str:
        """The name of a content itself."""
        return part(content, self.content)


def part(key: str, mode: Mode) -> str:
    """The part of a name for one picture."""
    folder, slash, name = key.rpartition("/")
    stem = name.rpartition(".")[0] or name
    text = stem if mode == "stem" else f"{folder}{slash}{stem}"
    text = _OTHER.sub("_", text).strip("_")
    text = text.encode()[-_MOST:].decode(errors="ignore").strip("_") or "picture"
    if text.casefold() in _TAKEN:
        text += "-"
    if mode != "hash":
        return text
    return f"{text}-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}"


def _shortest(keys: Sequence[str]) -> Mode:
    modes: tuple[Mode, ...] = ("stem", "path")
    for mode in modes:
        # Users unpack datasets on filesystems that ignore case.
        names = (part(key, mode).casefold() for key in keys)
        if len(np.unique(digests(names))) == len(keys):
            return mode
    return "hash"
