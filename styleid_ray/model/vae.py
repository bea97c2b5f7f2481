"""Another autoencoder for a model: `--vae`, a hub id or a local folder.

Nothing here imports torch, so that a driver without a GPU can check it before a job starts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from styleid_ray.errors import ModelError
from styleid_ray.model import hub
from styleid_ray.model.checkpoint import Checkpoint, digest_of
from styleid_ray.storage.locations import absolute, local_path, shown

KINDS = ("AutoencoderKL", "AutoencoderTiny")
_WEIGHTS = r"diffusion_pytorch_model(?:{tag}{shard}|{shard}{tag})\.safetensors"
_SHARD = r"(?:-\d{5}-of-\d{5})?"
_CONFIG = "config.json"
_FOLDERS = ("vae", "")
"""Where an autoencoder lies: as a part of a model, or alone."""
_SMALL = [_CONFIG, f"vae/{_CONFIG}"]
_HINTS = hub.Hints("--vae", "name a local folder in diffusers format with --vae FOLDER")
_INDEX = 8
"""Bytes of a safetensors file that tell the length of its header."""
_MOST_HEADER = 100 * 2**20


@dataclass(frozen=True)
class Vae:
    """An autoencoder and the files that it is made of."""

    name: str
    """Absolute path, or hub id."""
    revision: str | None
    """Commit of one on the hub."""
    folder: Path
    """Local folder of its `config.json`."""
    origin: Literal["folder", "hub"]
    subfolder: str
    """"vae" where it is a part of a model, else ""."""
    files: tuple[str, ...]
    """Names of all files of its folder."""

    @property
    def reference(self) -> str:
        """The value of --vae that stands for this one alone."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration as diffusers stores it."""
        try:
            config = json.loads((self.folder / _CONFIG).read_text())
        except (OSError, ValueError) as e:
            raise ModelError(f"--vae {self.name}: config.json cannot be read: {e}") from e
        if not isinstance(config, dict):
            raise ModelError(f"--vae {self.name}: config.json is not that of an autoencoder")
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
        """What tells it from others, wherever it lies."""
        return f"{last_part(self.name)} {self.fingerprint}"

    def _weights(self, variant: str | None) -> list[str]:
        tag = rf"\.{variant}" if variant else ""
        return [n for n in self.files if re.fullmatch(_WEIGHTS.format(tag=tag, shard=_SHARD), n)]


def last_part(vae: str) -> str:
    """The name by which a run knows the autoencoder of a --vae option, wherever it lies."""
    name = absolute(vae) if os.path.isdir(os.path.expanduser(vae)) else vae.partition("@")[0]
    return name.rstrip("/").rsplit("/", 1)[-1]


def find_vae(vae: str, model: Checkpoint) -> Vae:
    """The autoencoder of a --vae option, checked to suit a model.

    Of one on the hub only its configuration is fetched. Raises ModelError, in one line.
    """
    place = local_path(vae)
    if place is None:
        raise ModelError(
            f"--vae {shown(vae)}: an autoencoder is taken from the Hugging Face hub or a local "
            "folder; copy it to a folder that every node has"
        )
    found = _local(place) if _is_path(place) else _on_hub(vae)
    _check(found, model)
    return found


def fetch_vae(vae: Vae) -> Path:
    """The folder with configuration and weights; downloads those on the hub once."""
    prefix = f"{vae.subfolder}/" if vae.subfolder else ""
    if all((vae.folder / name).is_file() for name in (_CONFIG, *vae.weights)):
        return vae.folder
    names = [prefix + name for name in (_CONFIG, *vae.weights)]
    return hub.download(vae.name, vae.revision, names, _HINTS) / vae.subfolder


def levels(config: Mapping[str, Any]) -> int:
    """Resolutions of an autoencoder, each half the one before, by its configuration."""
    names = ("block_out_channels", "encoder_block_out_channels")
    channels = next((config[name] for name in names if config.get(name)), None)
    return len(channels) if channels else 1 if config.get("_class_name") == KINDS[0] else 4


def _is_path(vae: str) -> bool:
    path = os.path.expanduser(vae)
    name = vae.partition("@")[0]
    return os.path.isdir(path) or vae.startswith((".", "/", "~")) or name.count("/") != 1


def _local(vae: str) -> Vae:
    folder = Path(absolute(vae))
    if not folder.is_dir():
        raise ModelError(
            f"--vae {vae}: there is no such folder, and no hub id is written so: name a folder in "
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
    found = hub.find(name, revision or None, _SMALL, lambda found: _is_whole(name, found), _HINTS)
    return _of(name, found)


def _of(name: str, found: hub.Snapshot) -> Vae:
    subfolder = next((s for s in _FOLDERS if _below(s, _CONFIG) in found.files), None)
    if subfolder is None:
        raise ModelError(f"--vae {name}: the hub's repository has no {_CONFIG} of an autoencoder")
    start = _below(subfolder, "")
    own = (f.removeprefix(start) for f in found.files if f.startswith(start))
    files = tuple(name for name in own if "/" not in name)
    return Vae(name, found.commit, found.folder / subfolder, "hub", subfolder, files)


def _is_whole(name: str, found: hub.Snapshot) -> bool:
    """Whether a snapshot of the local cache has all that loading takes."""
    try:
        vae = _of(name, found)
        return len(vae.weights) == _shards(vae)
    except ModelError:
        return False


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
    factor, wanted = (2 ** (levels(c) - 1) for c in (config, own))
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
    _check_whole(vae)


def _check_whole(vae: Vae) -> None:
    """Refuses weights that were downloaded in part."""
    there, count = len(vae.weights), _shards(vae)
    if there < count:
        raise ModelError(
            f"--vae {vae.name} has {there} of the {count} files of its weights: "
            "download the others too"
        )
    if vae.origin == "folder":
        for name in vae.weights:
            path = vae.folder / name
            size, wanted = path.stat().st_size, _whole_size(path)
            if size != wanted:
                raise ModelError(
                    f"--vae {vae.name}: {name} is cut off or damaged"
                    + (f" ({size:,} of {wanted:,} bytes)" if wanted else "")
                    + ": download it again"
                )


def _shards(vae: Vae) -> int:
    """How many files the weights are cut into."""
    counts = (re.search(r"-of-(\d{5})", name) for name in vae.weights)
    return max((int(match[1]) for match in counts if match), default=1)


def _whole_size(path: Path) -> int | None:
    """Bytes of a safetensors file by its header; None where that cannot be read."""
    try:
        with path.open("rb") as f:
            length = int.from_bytes(f.read(_INDEX), "little")
            header = json.loads(f.read(length)) if 0 < length <= _MOST_HEADER else None
        assert isinstance(header, dict)
        ends = [value["data_offsets"][1] for name, value in header.items() if name[:2] != "__"]
        return _INDEX + length + max(ends, default=0)
    except (AssertionError, OSError, ValueError, KeyError, TypeError, IndexError):
        return None
