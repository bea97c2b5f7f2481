"""Another autoencoder for a model: `--vae`, a hub id or a local folder.

Nothing here imports torch, so that a driver without a GPU can check it before a job starts.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from styleid_ray.errors import ModelError
from styleid_ray.model import hub
from styleid_ray.model.checkpoint import Checkpoint, digest_of, last_part
from styleid_ray.model.description import vae_levels
from styleid_ray.model.family import KINDS
from styleid_ray.model.parts import weights_named
from styleid_ray.model.whole import check_whole
from styleid_ray.storage.locations import absolute, local_path, shown

_CONFIG = "config.json"
_FOLDERS = ("vae", "")
"""Subfolders of an autoencoder: as a part of a model, or alone."""
_SMALL = [_CONFIG, f"vae/{_CONFIG}"]
_HINTS = hub.Hints("--vae", "name a local folder in diffusers format with --vae FOLDER")


@dataclass(frozen=True)
class Vae:
    """An autoencoder and its files."""

    name: str
    """Absolute path, or hub id."""
    revision: str | None
    """Commit on the hub; None for a local folder."""
    folder: Path
    """Local folder of its `config.json`."""
    origin: Literal["folder", "hub"]
    subfolder: str
    """"vae" if it is a part of a model, else ""."""
    files: tuple[str, ...]
    """Names of all files of its folder."""

    @property
    def reference(self) -> str:
        """The value of --vae that names this one unambiguously."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration as diffusers stores it."""
        try:
            config = json.loads((self.folder / _CONFIG).read_text())
        except (OSError, ValueError) as e:
            raise ModelError(f"--vae {self.name}: config.json cannot be read: {e}") from e
        if not isinstance(config, dict):
            raise ModelError(
                f"--vae {self.name}: config.json does not describe an autoencoder: name another "
                "folder"
            )
        return config

    @property
    def variant(self) -> str | None:
        """The diffusers weights variant to load: plain where it exists, else fp16."""
        for variant in (None, "fp16"):
            if self._weights(variant):
                return variant
        if any(name.endswith((".bin", ".ckpt", ".pt")) for name in self.files):
            raise ModelError(
                f"--vae {self.name} has its weights as a pickle only; convert it to safetensors "
                "first (pickles can run code and are never loaded)"
            )
        raise ModelError(
            f"--vae {self.name} has no weights (diffusion_pytorch_model.safetensors): download "
            "them too"
        )

    @property
    def weights(self) -> list[str]:
        """The safetensors files of the chosen variant, all its shards."""
        return self._weights(self.variant)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the autoencoder does."""
        if self.revision:
            return digest_of(f"{self.name}@{self.revision}/{self.subfolder}")
        return digest_of("", self.folder, (_CONFIG, *self.weights))

    @property
    def identity(self) -> str:
        """Its identity, independent of its location."""
        return f"{last_part(self.name)} {self.fingerprint}"

    def _weights(self, variant: str | None) -> list[str]:
        return weights_named(self.files, "diffusion_pytorch_model", variant)


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
    autoencoder = _local(place) if _is_path(place) else _on_hub(vae)
    _check(autoencoder, model)
    return autoencoder


def fetch_vae(vae: Vae) -> Path:
    """The folder with configuration and weights; downloads from the hub once."""
    prefix = f"{vae.subfolder}/" if vae.subfolder else ""
    if all((vae.folder / name).is_file() for name in (_CONFIG, *vae.weights)):
        return vae.folder
    names = [prefix + name for name in (_CONFIG, *vae.weights)]
    return hub.download(vae.name, vae.revision, names, _HINTS) / vae.subfolder


def _is_path(vae: str) -> bool:
    path = os.path.expanduser(vae)
    name = vae.partition("@")[0]
    return os.path.isdir(path) or vae.startswith((".", "/", "~")) or name.count("/") != 1


def _local(vae: str) -> Vae:
    folder = Path(absolute(vae))
    if not folder.is_dir():
        raise ModelError(
            f"--vae {vae}: this is neither a folder nor a hub id (OWNER/NAME): name a folder in "
            "diffusers format, or a hub id such as stabilityai/sd-vae-ft-mse"
        )
    subfolder = next((s for s in _FOLDERS if (folder / s / _CONFIG).is_file()), None)
    if subfolder is None:
        raise ModelError(
            f"--vae {vae}: there is no config.json in it: name a folder in diffusers format (a "
            "single-file checkpoint must be converted first)"
        )
    own = folder / subfolder
    files = tuple(sorted(path.name for path in own.iterdir() if path.is_file()))
    return Vae(str(folder), None, own, "folder", subfolder, files)


def _on_hub(vae: str) -> Vae:
    name, _, revision = vae.partition("@")
    snapshot = hub.find(
        name, revision or None, _SMALL, lambda cached: _is_whole(name, cached), _HINTS
    )
    return _of(name, snapshot)


def _of(name: str, snapshot: hub.Snapshot) -> Vae:
    subfolder = next((s for s in _FOLDERS if _below(s, _CONFIG) in snapshot.files), None)
    if subfolder is None:
        raise ModelError(f"--vae {name}: the hub's repository has no {_CONFIG} of an autoencoder")
    start = _below(subfolder, "")
    own = (f.removeprefix(start) for f in snapshot.files if f.startswith(start))
    files = tuple(name for name in own if "/" not in name)
    return Vae(name, snapshot.commit, snapshot.folder / subfolder, "hub", subfolder, files)


def _is_whole(name: str, snapshot: hub.Snapshot) -> bool:
    """Whether a snapshot of the local cache contains all that loading reads."""
    try:
        vae = _of(name, snapshot)
        check_whole(vae.name, vae.weights, vae.folder)
    except ModelError:
        return False
    return True


def _below(subfolder: str, name: str) -> str:
    return f"{subfolder}/{name}" if subfolder else name


def _check(vae: Vae, model: Checkpoint) -> None:
    what, own, config = f"--vae {vae.name}", model.config("vae"), vae.config
    kind = config.get("_class_name")
    if kind not in KINDS:
        raise ModelError(f"{what} is a {kind}: it must be one of {', '.join(KINDS)}")
    given, needed = (c.get("latent_channels", 4) for c in (config, own))
    if given != needed:
        raise ModelError(
            f"{what} has latents of {given} channels, and {model.name} needs {needed}: take one "
            "that was made for this family of models"
        )
    factor, wanted = (2 ** (vae_levels(c) - 1) for c in (config, own))
    if factor != wanted:
        raise ModelError(
            f"{what} makes latents {factor} times smaller than pictures, and {model.name} needs "
            f"{wanted} times: take one that was made for this family of models"
        )
    if kind == own.get("_class_name") == KINDS[0]:
        given, needed = (c.get("scaling_factor", 0.18215) for c in (config, own))
        if given != needed:
            raise ModelError(
                f"{what} has another latent space (scaling factor {given}, and {model.name} has "
                f"{needed}): take one that was made for this family of models"
            )
    check_whole(what, vae.weights, vae.folder if vae.origin == "folder" else None)
