"""The files of a model: of a hub id at a commit, a local folder, or the embedded model.

Nothing here imports torch, so that a driver without a GPU can check a model before a job starts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from styleid_ray.config import DEMO_MODEL
from styleid_ray.errors import ModelError
from styleid_ray.model import hub, parts
from styleid_ray.model.description import ModelDescription, describe
from styleid_ray.model.family import check_family
from styleid_ray.model.repository import Repository, digest_of
from styleid_ray.model.single_file import SingleFile, read_single
from styleid_ray.model.whole import PICKLES
from styleid_ray.storage.secrets import without_secrets

if TYPE_CHECKING:
    from styleid_ray.model.lora import Lora
    from styleid_ray.model.vae import Vae

EMBEDDED_MODEL = Path(__file__).parents[1] / "demo" / "model"
"""Folder of the weights that come with the package."""
_REMEDY = (
    "name a local folder in diffusers format, or demo (--model demo on the command line), the "
    "embedded model, which needs no network"
)


@dataclass(frozen=True)
class Checkpoint(Repository):
    """A model and its files."""

    KIND: ClassVar[str] = "model"
    REMEDY: ClassVar[str] = _REMEDY

    vae: Vae | None = None
    """Another autoencoder in place of its own."""
    zero_prompt: bool = False
    """Whether the empty prompt's embeddings are zeros, which need no text encoder."""
    single: SingleFile | None = None
    """The content of the file, for a model in one file."""
    loras: tuple[Lora, ...] = ()
    """LoRA weights that are added to its unet."""

    def config(self, part: str) -> dict[str, Any]:
        """A part's configuration as diffusers stores it. Raises ModelError."""
        return self.single.config(part) if self.single else super().config(part)

    @cached_property
    def description(self) -> ModelDescription:
        """The model's description, with its other autoencoder if it has one. Raises ModelError."""
        vae = self.vae.config() if self.vae else self.config("vae")
        return describe(self.config("unet"), vae, self.config("scheduler"))

    @property
    def index(self) -> dict[str, Any]:
        """Its `model_index.json`; empty if it has none, or none that loading reads."""
        fetched = parts.INDEX in self.files and (self.folder / parts.INDEX).is_file()
        return self.json(parts.INDEX) if fetched else {}

    @property
    def factor(self) -> int:
        """Pixels; the sides of a picture must be multiples of it."""
        return 1 if self.origin == "none" else self.description.factor

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the model does.

        It covers a hub model's id and commit; the revision in an object store; and in a folder the
        size, first and last MiB of every file (headers, small files whole), so that gigabytes need
        not be read.
        """
        if self.origin == "store" and self.revision:
            return self.revision
        if self.origin == "hub":
            return digest_of(f"{self.name}@{self.revision}")
        return digest_of("", self.folder, self.files)

    @property
    def needed(self) -> list[str]:
        """The existing files that loading reads: never a pickle."""
        if self.single:
            return list(self.files)
        loaded = parts.weighty(self.files, self.zero_prompt)
        own = [part for part in loaded if part != "vae" or self.vae is None]
        weights = [name for part in own for name in self.weights(part)]
        return sorted({*parts.small_files(self.files, self.zero_prompt), *weights})

    def check(self, cached: bool = False, only: str = "") -> Self:
        """Returns itself. Raises ModelError if it lacks a part or a file of the weights of its
        parts, or of the part `only`; if weights in a local folder, or of a `cached` repository, are
        not whole; or if StyleID cannot use it."""
        if self.single:
            check_family(self)
            return self
        parts.check_parts(self.name, self.files, self.zero_prompt, self.origin == "folder")
        if self.origin == "hub":
            parts.check_index(self.name, self.files)
        check_family(self)
        for part in [only] if only else parts.weighty(self.files, self.zero_prompt):
            self.check_weights(part, cached)
        return self


NO_MODEL = Checkpoint("none", None, Path(), origin="none", files=())
"""In place of a model, for a method that needs none."""


def last_part(location: str) -> str:
    """The last part of a path, URL or hub id: a model's name in a run, at any location."""
    return without_secrets(location).rstrip("/").rsplit("/", 1)[-1]


def find_checkpoint(model: str, revision: str | None = None, only: str = "") -> Checkpoint:
    """The checkpoint of a model name, checked to be one that StyleID can use.

    Only the small files of a hub model are fetched. `only` is the part that will be loaded, if a
    single one. Raises ModelError, in one line with a remedy.
    """
    if model == DEMO_MODEL:
        checkpoint = _local(model, EMBEDDED_MODEL)
    elif os.path.isdir(os.path.expanduser(model)):
        checkpoint = _local(model, Path(os.path.expanduser(model)))
    elif os.path.isfile(os.path.expanduser(model)):
        checkpoint = _in_one_file(model, Path(os.path.expanduser(model)))
    elif "://" in model:
        raise ModelError(
            f"only jobs (stylize, plan) fetch a model from {model.partition('://')[0]}://; in "
            f"Python, {_REMEDY}"
        )
    elif not hub.is_id(model):
        what = "file" if model.endswith((".safetensors", *PICKLES)) else "folder"
        raise ModelError(f"model {what} {model} does not exist; {_REMEDY}")
    else:
        return hub.find(_with_prompt, model, revision, parts.SMALL, _REMEDY).check()
    if revision is not None:
        raise ModelError(
            f"--revision {revision} goes with a hub model, and {model} is local: leave it out"
        )
    return checkpoint.check(only=only)


def _local(name: str, folder: Path) -> Checkpoint:
    try:
        files = hub.files_below(folder)
    except OSError as e:
        raise ModelError(f"model folder {name} cannot be read: {e}") from e
    return _with_prompt(name, None, folder, "folder", files)


def _in_one_file(name: str, path: Path) -> Checkpoint:
    single = read_single(name, path)
    zeros = single.family == "sdxl"
    return Checkpoint(name, None, path.parent, "folder", (path.name,), None, zeros, single)


def _with_prompt(*facts: Any) -> Checkpoint:
    """A checkpoint whose empty prompt is as its index says; arguments as of `Repository`."""
    checkpoint = Checkpoint(*facts)
    zero_prompt = parts.is_zero_prompt(checkpoint.index, checkpoint.files)
    return replace(checkpoint, zero_prompt=zero_prompt)
