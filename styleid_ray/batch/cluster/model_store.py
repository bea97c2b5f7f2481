"""A model in an object store: the listing of its files, and their transfer to this machine."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from styleid_ray.config import digest
from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.parts import INDEX, PARTS, check_parts, has, is_zero_prompt
from styleid_ray.storage.fetch import ATTEMPTS, reason, retried
from styleid_ray.storage.locations import Options, cannot_open, open_filesystem, shown
from styleid_ray.storage.secrets import scrubbed, without_secrets
from styleid_ray.storage.version import size_in, version_of

_HOUR = 3600.0
T = TypeVar("T")


class StoredModel:
    """A model in diffusers format in a folder of any fsspec filesystem, as it is listed now.

    `versions` are SIZE:TAG of each file that loading takes, by its name below the folder.
    `checkpoint` is the model without a local folder, its revision 16 hexadecimal digits that change
    when one of these files does.

    Raises:
        ModelError: the URL cannot be opened, the folder cannot be listed or is not a model's, or
            the model is not at the given revision.
    """

    def __init__(
        self, url: str, storage_options: Options = None, revision: str | None = None
    ) -> None:
        self.name = without_secrets(url.rstrip("/"))
        self.storage_options = storage_options
        try:
            self.fs, root = open_filesystem(url.rstrip("/"), storage_options)
        except Exception as e:  # each filesystem has its own errors
            why = scrubbed(cannot_open(url, e), storage_options)
            raise ModelError(f"--model {shown(url)}: {why}") from e
        self.root = root.rstrip("/")
        self.checkpoint, self.versions = self._listed()
        if revision not in (None, self.checkpoint.revision):
            raise ModelError(
                f"model {self.name} has changed since the job began: it is at revision "
                f"{self.checkpoint.revision} now, and no longer at {revision}; put its files back, "
                "or begin a new run at another --output"
            )

    def fetch(self, names: Iterable[str], folder: Path) -> None:
        """Downloads files to a folder. Raises ModelError if one does not arrive in its listed size,
        or the model changes meanwhile."""
        for name in names:
            failure = f"{name} cannot be fetched to {folder}"
            self._tried(failure, partial(self._transfer, name, folder), ATTEMPTS)
        if self._listed()[1] != self.versions:
            raise ModelError(
                f"model {self.name} changed while it was being fetched: start again when it is "
                "complete"
            )

    def _listed(self) -> tuple[Checkpoint, dict[str, str]]:
        failure = "it cannot be listed"
        entries = self._tried(failure, self._entries)
        present = tuple(sorted(entries))
        zero_prompt = is_zero_prompt(self._index(present), present)
        check_parts(self.name, present, zero_prompt)
        model = Checkpoint(self.name, None, Path(), "store", present, zero_prompt=zero_prompt)
        versions = self._tried(
            failure, lambda: {name: self._version(entries[name]) for name in model.needed}
        )
        return replace(model, revision=digest(versions)), versions

    def _index(self, present: tuple[str, ...]) -> dict[str, Any]:
        """Its `model_index.json`, if that says more than the names of its files."""
        plain = has(present, "text_encoder") and not has(present, "text_encoder_2")
        if INDEX not in present or plain:
            return {}
        text = self._tried(f"{INDEX} cannot be read", lambda: self.fs.cat_file(self._path(INDEX)))
        try:
            return json.loads(text)
        except ValueError as e:
            raise ModelError(f"model {self.name}: {INDEX} cannot be read: {e}") from e

    def _transfer(self, name: str, folder: Path) -> None:
        target, size = folder / name, size_in(self.versions[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(self._path(name), str(target))
        fetched = target.stat().st_size
        if fetched != size:
            raise OSError(f"{fetched:,} bytes instead of {size:,}")

    def _entries(self) -> dict[str, dict[str, Any]]:
        """The files of the folder and of its parts' folders."""
        self.fs.invalidate_cache()
        top = self._ls("")
        entries = dict(top)
        for part in PARTS:
            if top.get(part, {}).get("type") == "directory":
                entries |= self._ls(f"{part}/")
        return {name: entry for name, entry in entries.items() if entry["type"] == "file"}

    def _ls(self, folder: str) -> dict[str, dict[str, Any]]:
        entries = self.fs.ls(self._path(folder).rstrip("/"), detail=True)
        return {folder + entry["name"].rstrip("/").rsplit("/", 1)[-1]: entry for entry in entries}

    def _version(self, entry: dict[str, Any]) -> str:
        # A web server lists only names.
        return version_of(entry) or version_of(self.fs.info(entry["name"]))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if self.root else name

    def _tried(self, failure: str, work: Callable[[], T], attempts: int = 2) -> T:
        """The result of a request, retried while its errors are transient."""
        try:
            return retried(work, attempts, _HOUR)
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
