"""Files in diffusers format: of a hub id at a commit, or in a local folder.

Nothing here imports torch, so that a driver without a GPU can check them before a job starts.
"""

import hashlib
import json
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from styleid_ray.errors import ModelError
from styleid_ray.model import hub, parts
from styleid_ray.model.whole import check_whole


@dataclass(frozen=True)
class Repository(ABC):
    """Parts of a model, and the names of their files."""

    KIND: ClassVar[str]
    """Kind of repository, as messages name it."""
    REMEDY: ClassVar[str]
    """How to do without the hub."""

    name: str
    """As given, without secrets."""
    revision: str | None
    """Commit on the hub; digest of the listing of a model in an object store; else None."""
    folder: Path
    """Local folder; with the small files only, until a remote repository is fetched."""
    origin: Literal["folder", "hub", "store", "none"]
    files: tuple[str, ...]
    """Names of all files below the folder."""

    @property
    @abstractmethod
    def needed(self) -> list[str]:
        """The existing files that loading reads: never a pickle."""

    @abstractmethod
    def check(self, cached: bool = False) -> Self:
        """Returns itself. Raises ModelError if a file that loading reads is missing or cannot be
        used; weights in a local folder, or of a `cached` repository, must be whole."""

    @property
    def label(self) -> str:
        """Its kind and name, for messages."""
        return f"{self.KIND} {self.name}"

    def folder_of(self, part: str) -> str:
        """The folder of a part, below its own; "" for its own."""
        return parts.folder_of(self.files, part)

    def config(self, part: str) -> dict[str, Any]:
        """A part's configuration as diffusers stores it. Raises ModelError."""
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        return self.json(posixpath.join(self.folder_of(part), name))

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file. Raises ModelError unless it is an object."""
        try:
            config = json.loads((self.folder / name).read_text())
        except (OSError, ValueError) as e:
            raise ModelError(f"{self.label}: {name} cannot be read: {e}: download it again") from e
        if not isinstance(config, dict):
            raise ModelError(f"{self.label}: {name} is not a configuration: download it again")
        return config

    def variant(self, part: str) -> str | None:
        """The diffusers weights variant to load of a part: plain where it exists, else fp16. Raises
        ModelError if it has neither."""
        return parts.variant(f"{self.label}: {part}", self.files, self._stem(part))

    def weights(self, part: str) -> list[str]:
        """The safetensors files of a part's chosen variant, all its shards."""
        return parts.weights_named(self.files, self._stem(part), self.variant(part))

    def check_weights(self, part: str, cached: bool) -> None:
        """Raises ModelError unless a part has all files of its weights, and whole ones in a local
        folder or if they are `cached`."""
        folder = self.folder if cached or self.origin == "folder" else None
        check_whole(f"{self.label}: {part}", self.weights(part), folder)

    def _stem(self, part: str) -> str:
        return posixpath.join(self.folder_of(part), parts.stem(part))


def fetch(repository: Repository, part: str = "") -> Path:
    """The folder with all files that loading reads, or loading one part; downloads those of a hub
    repository once. Raises ModelError."""
    folder = repository.folder_of(part)
    needed = [name for name in repository.needed if name.startswith(folder)]
    if all((repository.folder / name).is_file() for name in needed):
        return repository.folder
    return hub.download(repository.name, repository.revision, needed, repository.REMEDY)


def digest_of(text: str, folder: Path = Path(), files: Sequence[str] = ()) -> str:
    """16 hexadecimal digits of a text and of files: their sizes and both ends."""
    h = hashlib.blake2b(text.encode(), digest_size=8)
    for name in files:
        path = folder / name
        size = path.stat().st_size
        h.update(f"{name}:{size}\n".encode())
        with path.open("rb") as f:
            h.update(f.read(1 << 20))
            f.seek(max(0, size - (1 << 20)))
            h.update(f.read())
    return h.hexdigest()
