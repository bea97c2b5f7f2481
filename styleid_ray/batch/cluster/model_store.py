"""A model's folder in an object store: what is in it, which version, and its files brought here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from styleid_ray.config import digest
from styleid_ray.engine.checkpoint import PARTS, Checkpoint, check_parts
from styleid_ray.errors import ModelError
from styleid_ray.storage.fetch import ATTEMPTS, reason, retrying
from styleid_ray.storage.locations import Options, cannot_open, open_filesystem, shown
from styleid_ray.storage.secrets import scrubbed, without_secrets

# How filesystems name what changes with a file's content, the best first.
_VERSIONS = ("md5Hash", "ETag", "etag", "CRC", "Last-Modified", "LastModified", "mtime")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_TRANSFERS = 2
_HOUR = 3600.0
T = TypeVar("T")


@dataclass(frozen=True)
class StoredFile:
    """A file as its store lists it."""

    size: int
    version: str
    """Checksum, ETag or time of change; '' where the store tells none."""


@dataclass(frozen=True)
class Listing:
    """The files that a model is made of, by their names below its folder."""

    files: Mapping[str, StoredFile]
    present: tuple[str, ...]
    """All names that were found."""

    @property
    def revision(self) -> str:
        """16 hexadecimal digits that change when a file of the model does."""
        return digest({name: [file.size, file.version] for name, file in self.files.items()})


class ModelStore:
    """A folder in diffusers format on any fsspec filesystem.

    Args:
        url: where it lies.
        storage_options: what the filesystem is opened with.

    Raises ModelError, here when nothing can be opened at the URL, later when the folder cannot be
    listed or a file not be fetched.
    """

    def __init__(self, url: str, storage_options: Options = None) -> None:
        self.name = without_secrets(url.rstrip("/"))
        self.storage_options = storage_options
        try:
            self.fs, root = open_filesystem(url.rstrip("/"), storage_options)
        except Exception as e:  # each filesystem has its own errors
            said = scrubbed(cannot_open(url, e), storage_options)
            raise ModelError(f"--model {shown(url)}: {said}") from e
        self.root = root.rstrip("/")

    def listing(self) -> Listing:
        """What is there now. Raises ModelError for what is no model, by the names alone."""
        failure = "it cannot be listed"
        found = self._tried(failure, self._entries)
        checkpoint = self.checkpoint(tuple(sorted(found)))
        check_parts(checkpoint)
        files = self._tried(
            failure, lambda: {name: self._stored(found[name]) for name in checkpoint.needed}
        )
        return Listing(files, checkpoint.files)

    def checkpoint(
        self, present: tuple[str, ...], revision: str | None = None, folder: Path = Path()
    ) -> Checkpoint:
        """The model as the engine knows it."""
        return Checkpoint(self.name, revision, folder, origin="store", files=present)

    def fetch(self, name: str, file: StoredFile, target: Path) -> None:
        """Brings a file here. What does not come out as it was listed is fetched once more.

        Checked are its size, its MD5 where the store tells it, and what a safetensors file says
        of its own length.
        """
        failure = f"{name} cannot be fetched to {target.parent}"
        damage: str | None = None
        for _ in range(_TRANSFERS):
            self._tried(failure, lambda: self._transfer(name, target), ATTEMPTS, _HOUR)
            damage = self._tried(failure, lambda: self._damage(name, file, target))
            if not damage:
                return
        raise ModelError(
            f"model {self.name}: {name} is damaged ({damage}), fetched {_TRANSFERS} times: put it "
            "there again"
        )

    def _transfer(self, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        # s3fs would write parts of a large file, at once, into one of full length already, whose
        # size then says nothing, and hold ten of 50 MiB in memory.
        in_order = {"max_concurrency": 1} if self._is_s3 else {}
        self.fs.get_file(self._path(name), str(target), **in_order)

    @property
    def _is_s3(self) -> bool:
        return hasattr(self.fs, "call_s3")

    def _entries(self) -> dict[str, dict[str, Any]]:
        """The files of the folder and of its parts' folders; others are not looked into."""
        self.fs.invalidate_cache()
        top = self._ls("")
        found = dict(top)
        for part in PARTS:
            if top.get(part, {}).get("type") == "directory":
                found |= self._ls(f"{part}/")
        return {name: entry for name, entry in found.items() if entry["type"] == "file"}

    def _ls(self, folder: str) -> dict[str, dict[str, Any]]:
        entries = self.fs.ls(self._path(folder).rstrip("/"), detail=True)
        return {folder + entry["name"].rstrip("/").rsplit("/", 1)[-1]: entry for entry in entries}

    def _stored(self, entry: dict[str, Any]) -> StoredFile:
        if entry.get("size") is None:  # a web server lists names alone
            entry = self.fs.info(entry["name"])
        version = next((str(entry[key]) for key in _VERSIONS if entry.get(key)), "")
        return StoredFile(int(entry["size"]), version)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if self.root else name

    def _damage(self, name: str, file: StoredFile, path: Path) -> str | None:
        """How a fetched file differs from the one that was listed; None for a whole one."""
        size = path.stat().st_size
        if size != file.size:
            return f"{size:,} bytes in place of {file.size:,}"
        md5 = _MD5.fullmatch(file.version)
        if md5 and md5[1] != _md5(path) and self._tags_by_md5(name):
            return "its MD5 is not its ETag"
        if name.endswith(".safetensors"):
            try:
                with safe_open(path, framework="numpy"):
                    pass
            except SafetensorError as e:
                return str(e)
        return None

    def _tags_by_md5(self, name: str) -> bool:
        """Whether a file's ETag is the MD5 of its content, where it looks like one: in S3 that of
        objects put whole, unless they are encrypted with a key that is not S3's own."""
        if not self._is_s3:
            return False
        bucket, key, _ = self.fs.split_path(self._path(name))
        head: dict[str, Any] = self.fs.call_s3("head_object", Bucket=bucket, Key=key)
        return (
            head.get("ServerSideEncryption", "AES256") == "AES256"
            and "SSECustomerAlgorithm" not in head
            and head.get("StorageClass") != "EXPRESS_ONEZONE"
        )

    def _tried(
        self, failure: str, work: Callable[[], T], attempts: int = 2, timeout: float = 60
    ) -> T:
        """The result of a request, made again when it fails for a while. Raises ModelError."""
        try:
            for attempt in retrying(attempts, timeout):
                with attempt:
                    return work()
        except FileNotFoundError as e:
            raise ModelError(
                f"model {self.name}: {failure} (there is no such bucket, folder or file): check "
                "--model"
            ) from e
        except Exception as e:  # each filesystem has its own errors
            raise ModelError(
                f"model {self.name}: {failure} ({reason(e, self.storage_options)}): check the "
                "network, permissions, and credentials in the environment or --storage-options"
            ) from e
        raise AssertionError("unreachable: the last attempt returns or raises")


def _md5(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, _new_md5).hexdigest()


def _new_md5() -> Any:
    return hashlib.md5(usedforsecurity=False)
