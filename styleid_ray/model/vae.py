"""Another autoencoder for a model: `--vae`, a hub id or a local folder.

Nothing here imports torch, so that a driver without a GPU can check it before a job starts.
"""

import os
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from styleid_ray.errors import ModelError
from styleid_ray.model import hub
from styleid_ray.model.checkpoint import Checkpoint, last_part
from styleid_ray.model.description import vae_channels, vae_levels
from styleid_ray.model.family import KINDS
from styleid_ray.model.repository import Repository, digest_of
from styleid_ray.storage.locations import absolute, local_path, shown

_PART, _CONFIG = "vae", "config.json"
_SMALL = [_CONFIG, f"{_PART}/{_CONFIG}"]


@dataclass(frozen=True)
class Vae(Repository):
    """An autoencoder and its files, alone or in the folder `vae` of a model. Its name is an
    absolute path, or a hub id."""

    KIND: ClassVar[str] = "--vae"
    REMEDY: ClassVar[str] = "name a local folder in diffusers format with --vae FOLDER"

    @property
    def reference(self) -> str:
        """The value of --vae that names this one unambiguously."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    def folder_of(self, part: str = _PART) -> str:
        """Its folder below the repository's: "vae" if it is a part of a model, else ""."""
        return _PART if f"{_PART}/{_CONFIG}" in self.files else ""

    def config(self, part: str = _PART) -> dict[str, Any]:
        """Its configuration as diffusers stores it. Raises ModelError."""
        return super().config(part)

    @property
    def needed(self) -> list[str]:
        """Its configuration and the safetensors files of its chosen variant."""
        return [posixpath.join(self.folder_of(), _CONFIG), *self.weights(_PART)]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the autoencoder does."""
        own = self.folder_of()
        if self.revision:
            return digest_of(f"{self.name}@{self.revision}/{own}")
        return digest_of("", self.folder / own, [posixpath.basename(name) for name in self.needed])

    @property
    def identity(self) -> str:
        """Its identity, independent of its location."""
        return f"{last_part(self.name)} {self.fingerprint}"

    def check(self, cached: bool = False) -> Self:
        """Returns itself. Raises ModelError if its configuration or a file of its weights is
        missing, or weights in a local folder, or of a `cached` repository, are not whole."""
        if posixpath.join(self.folder_of(), _CONFIG) not in self.files:
            raise ModelError(
                f"{self.label}: there is no config.json in it: name a folder or hub id in "
                "diffusers format (a single-file checkpoint must be converted first)"
            )
        self.check_weights(_PART, cached)
        return self


def name_of(vae: str) -> str:
    """The name by which a run knows the autoencoder of a --vae option at any location."""
    return last_part(
        absolute(vae) if os.path.isdir(os.path.expanduser(vae)) else vae.partition("@")[0]
    )


def with_vae(model: Checkpoint, vae: str | None) -> Checkpoint:
    """A model with the autoencoder of a --vae option, if given, in place of its own.

    Raises:
        ModelError: the autoencoder cannot be used, or there is none at all.
    """
    if vae:
        return replace(model, vae=find_vae(vae, model))
    if model.single and "vae" not in model.single.parts:
        raise ModelError(f"model {model.name}: the file has no autoencoder: name one with --vae")
    return model


def find_vae(vae: str, model: Checkpoint) -> Vae:
    """The autoencoder of a --vae option, checked to suit a model. From the hub, only its
    configuration is fetched. Raises ModelError, in one line."""
    place = local_path(vae)
    if place is None:
        raise ModelError(
            f"--vae {shown(vae)}: an autoencoder is taken from the Hugging Face hub or a local "
            "folder; copy it to a folder that every node has"
        )
    if os.path.isdir(os.path.expanduser(place)) or not hub.is_id(place):
        found = _local(place)
    else:
        name, _, revision = vae.partition("@")
        found = hub.find(Vae, name, revision or None, _SMALL, Vae.REMEDY)
    _check_fit(found.check(), model)
    return found


def _local(vae: str) -> Vae:
    folder = Path(absolute(vae))
    if not folder.is_dir():
        raise ModelError(
            f"--vae {vae}: this is neither a folder nor a hub id (OWNER/NAME): name a folder in "
            "diffusers format, or a hub id such as stabilityai/sd-vae-ft-mse"
        )
    return Vae(str(folder), None, folder, "folder", hub.files_below(folder))


def _check_fit(vae: Vae, model: Checkpoint) -> None:
    """Raises ModelError for an autoencoder whose latents are not the model's."""
    own, config = model.config("vae"), vae.config()
    kind = config.get("_class_name")
    if kind not in KINDS:
        raise ModelError(f"{vae.label} is a {kind}: it must be one of {', '.join(KINDS)}")
    facts: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "has {} latent channels": vae_channels,
        "downsamples by {}": lambda config: 2 ** (vae_levels(config) - 1),
    }
    if kind == own.get("_class_name") == KINDS[0]:
        facts["has the scaling factor {}"] = lambda config: config.get("scaling_factor", 0.18215)
    for text, fact in facts.items():
        given, needed = fact(config), fact(own)
        if given != needed:
            raise ModelError(
                f"{vae.label} {text.format(given)}; {model.name} needs {needed}. Use an "
                "autoencoder made for the same model family"
            )
