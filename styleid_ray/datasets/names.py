"""File names of exported pictures, from the names of content and style."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

Mode = Literal["stem", "path", "hash"]
_MODES: tuple[Mode, ...] = ("stem", "path", "hash")
_OTHER = re.compile(r"(?:[^\w-]|_)+")
_TAKEN = {"samples", "readme", "con", "prn", "aux", "nul"}
_TAKEN |= {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
"""Names of an export's own files, and those that Windows keeps for devices."""
_ID = 12
"""Digits of a pair's id in a name."""
_MOST = 80
"""Bytes of a name for one picture."""


@dataclass(frozen=True)
class Names:
    """Names NAME__STYLE of pictures, unique in an export, whatever pairs it holds.

    A picture is named by its stem where all pictures of its kind have different ones, else by its
    path, else by path and hash. Names hold neither dots nor, within a part, two underscores.
    """

    content: Mode
    content_in_folder: Mode
    """The same for names that need to be unique in the content's class folder alone."""
    style: Mode
    ids: bool = False
    """Whether results have a part of the pair's id besides: several may have one content, style
    and k."""

    @classmethod
    def of(
        cls,
        contents: Sequence[str],
        styles: Sequence[str],
        folder_of: Callable[[str], str],
        ids: bool = False,
    ) -> Names:
        """The shortest names that distinguish these pictures.

        Args:
            contents, styles: distinct keys.
            folder_of: the folder that a content's picture will lie in.
            ids: whether several pairs have one content, style and k.
        """
        return cls(
            _shortest(contents, lambda key: ""),
            _shortest(contents, folder_of),
            _shortest(styles, lambda key: ""),
            ids,
        )

    def stylised(
        self, content: str, style: str, k: int, pair_id: str = "", in_folder: bool = False
    ) -> str:
        """The name of a result."""
        mode = self.content_in_folder if in_folder else self.content
        parts = [part(content, mode), part(style, self.style)]
        if k:
            parts.append(str(k))
        if self.ids:
            parts.append(pair_id[:_ID])
        return "__".join(parts)

    def as_dict(self) -> dict[str, str | bool]:
        """How pictures are named; the same as before there were `ids` where there are none."""
        return {name: value for name, value in asdict(self).items() if value is not False}

    def original(self, content: str, in_folder: bool = False) -> str:
        """The name of a content itself."""
        return part(content, self.content_in_folder if in_folder else self.content)


def part(key: str, mode: Mode) -> str:
    """The part of a name that stands for one picture."""
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


def _shortest(keys: Sequence[str], folder_of: Callable[[str], str]) -> Mode:
    for mode in _MODES[:-1]:
        # File systems that ignore case are common where datasets are unpacked.
        names = (f"{folder_of(key)}/{part(key, mode)}".casefold() for key in keys)
        digests = b"".join(hashlib.blake2b(n.encode(), digest_size=8).digest() for n in names)
        if len(np.unique(np.frombuffer(digests, "<u8"))) == len(keys):
            return mode
    return "hash"
