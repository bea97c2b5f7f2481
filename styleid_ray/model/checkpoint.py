"""Which files a model is made of: of a hub id at a commit, a local folder, or the embedded model.

Nothing here imports torch, so that a driver without a GPU can check a model before a job starts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from styleid_ray.config import DEMO_MODEL
from styleid_ray.errors import ModelError
from styleid_ray.model import hub
from styleid_ray.storage.secrets import without_secrets

if TYPE_CHECKING:
    from styleid_ray.model.vae import Vae

PARTS = ("unet", "vae", "scheduler", "text_encoder", "tokenizer")
_SMALL = [f"{part}/*.json" for part in PARTS]
NULL_EMBEDDING = "null_embedding.safetensors"
EMBEDDED_MODEL = Path(__file__).parents[1] / "demo" / "model"
"""Folder of the weights that come with the package."""
_REMEDY = (
    "name a local folder in diffusers format with --model FOLDER, or use --model demo, "
    "the embedded model, which needs no network"
)
_HINTS = hub.Hints("--revision", _REMEDY)


@dataclass(frozen=True)
class Checkpoint:
    """A model and the files that it is made of."""

    name: str
    """As given, without secrets."""
    revision: str | None
    """Commit of a hub model; of one in an object store, digest of its listing; else None."""
    folder: Path
    """Local folder; with the small files only, until all of a model that lies elsewhere is
    fetched."""
    origin: Literal["folder", "hub", "store", "none"]
    files: tuple[str, ...]
    """Names of all files below the model's folder."""
    vae: Vae | None = None
    """Another autoencoder in place of its own."""

    def config(self, part: str) -> dict[str, Any]:
        """A part's configuration as diffusers stores it."""
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        try:
            return json.loads((self.folder / part / name).read_text())
        except (OSError, ValueError) as e:
            raise ModelError(f"model {self.name}: {part}/{name} cannot be read: {e}") from e

    @property
    def factor(self) -> int:
        """What the sides of a picture must be multiples of, in pixels."""
        if self.origin == "none":
            return 1
        levels = [len(self.config(part)["block_out_channels"]) - 1 for part in ("unet", "vae")]
        return 2 ** sum(levels)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the model does.

        Of a hub model its id and commit; of an object store its revision; of a folder every
        file's size, and the first and last MiB of each file (headers, small files whole), so that
        gigabytes need not be read.
        """
        if self.origin == "store" and self.revision:
            return self.revision
        if self.origin == "hub":
            return digest_of(f"{self.name}@{self.revision}")
        return digest_of("", self.folder, self.files)

    def variant(self, part: str) -> str | None:
        """The diffusers weights variant to load of a part: plain where it exists, else fp16."""
        plain = f"{part}/{_stem(part)}.safetensors"
        for variant in (None, "fp16"):
            if self._weights(part, variant):
                return variant
        if any(f.startswith(f"{part}/") and f.endswith((".bin", ".ckpt")) for f in self.files):
            raise ModelError(
                f"model {self.name}: {part} has its weights as a pickle only; convert it to "
                "safetensors first (pickles can run code and are never loaded)"
            )
        raise ModelError(f"model {self.name}: {part} has no safetensors weights ({plain})")

    def weights(self, part: str) -> list[str]:
        """The safetensors files of a part's chosen variant, all its shards."""
        return self._weights(part, self.variant(part))

    def _weights(self, part: str, variant: str | None) -> list[str]:
        tag, shard = rf"\.{variant}" if variant else "", r"(?:-\d{5}-of-\d{5})?"
        name = rf"{part}/{_stem(part)}(?:{tag}{shard}|{shard}{tag})\.safetensors"
        return [f for f in self.files if re.fullmatch(name, f)]

    @property
    def needed(self) -> list[str]:
        """The files that loading takes, of those that are there: never a pickle."""
        parts = [part for part in _weighty(self.files) if part != "vae" or self.vae is None]
        weights = [name for part in parts for name in self.weights(part)]
        small = [
            f
            for f in self.files
            if f == NULL_EMBEDDING
            or f.startswith("tokenizer/")
            or (f.endswith(".json") and f.rpartition("/")[0] in PARTS)
        ]
        return sorted({*small, *weights})


NO_MODEL = Checkpoint("none", None, Path(), origin="none", files=())
"""In place of a model, of a method that needs none."""


def _stem(part: str) -> str:
    return "model" if part == "text_encoder" else "diffusion_pytorch_model"


def last_part(location: str) -> str:
    """The last part of a path, URL or hub id, by which a run knows a model wherever it lies."""
    return without_secrets(location).rstrip("/").rsplit("/", 1)[-1]


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


def find_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint of a model name, checked to be of the SD 1.x / 2.x family.

    Of a hub model only the small files are fetched. Raises ModelError, in one line with a remedy.
    """
    if model == DEMO_MODEL:
        checkpoint = _local(model, EMBEDDED_MODEL)
    elif os.path.isdir(os.path.expanduser(model)):
        checkpoint = _local(model, Path(os.path.expanduser(model)))
    elif "://" in model:
        raise ModelError(
            f"a model at a {model.partition('://')[0]}:// URL is fetched by jobs alone; here "
            f"{_REMEDY}"
        )
    elif _looks_like_path(model):
        raise ModelError(f"model folder {model} does not exist; {_REMEDY}")
    else:
        return _check(_on_hub(model, revision))
    if revision is not None:
        raise ModelError(
            f"--revision {revision} goes with a hub model, and {model} is local: leave it out"
        )
    return _check(checkpoint)


def fetch(checkpoint: Checkpoint, part: str = "") -> Path:
    """The folder with all that loading needs, or that loading one part does; downloads a hub
    model's weights once."""
    needed = [name for name in checkpoint.needed if name.startswith(part)]
    if all((checkpoint.folder / name).is_file() for name in needed):
        return checkpoint.folder
    return hub.download(checkpoint.name, checkpoint.revision, needed, _HINTS)


def _looks_like_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.count("/") != 1 or "\\" in model


def _local(name: str, folder: Path) -> Checkpoint:
    try:
        files = hub.files_below(folder)
    except OSError as e:
        raise ModelError(f"model folder {name} cannot be read: {e}") from e
    return Checkpoint(name, None, folder, origin="folder", files=files)


def _on_hub(model: str, revision: str | None) -> Checkpoint:
    def of(snapshot: hub.Snapshot) -> Checkpoint:
        return Checkpoint(
            model, snapshot.commit, snapshot.folder, origin="hub", files=snapshot.files
        )

    return of(hub.find(model, revision, _SMALL, lambda cached: _is_whole(of(cached)), _HINTS))


def _is_whole(checkpoint: Checkpoint) -> bool:
    """Whether a hub model is in the local cache with all that loading takes."""
    try:
        check_parts(checkpoint)
    except ModelError:
        return False
    files = set(checkpoint.files)
    weighty = _weighty(checkpoint.files)
    configs = {"scheduler/scheduler_config.json", *(f"{part}/config.json" for part in weighty)}
    shards = [f for f in checkpoint.needed if "-of-" in f]
    counts = Counter((f.partition("/")[0], int(f.partition("-of-")[2][:5])) for f in shards)
    vocabulary = {"tokenizer/merges.txt", "tokenizer/tokenizer.json", NULL_EMBEDDING}
    return (
        configs <= files
        and not vocabulary.isdisjoint(files)
        and all(count == whole for (_, whole), count in counts.items())
    )


def _has(files: tuple[str, ...], part: str) -> bool:
    return any(f.startswith(f"{part}/") for f in files)


def _weighty(files: tuple[str, ...]) -> tuple[str, ...]:
    """The parts whose weights are loaded: a stored null embedding stands for the text encoder."""
    return ("unet", "vae") if NULL_EMBEDDING in files else ("unet", "vae", "text_encoder")


def _check(checkpoint: Checkpoint) -> Checkpoint:
    check_parts(checkpoint)
    check_family(checkpoint)
    return checkpoint


def check_parts(checkpoint: Checkpoint) -> None:
    """Raises ModelError for what lacks a part of a model, by the names of its files alone."""
    name, files = checkpoint.name, checkpoint.files
    if not (_has(files, "unet") and _has(files, "scheduler")):
        hint = (
            " (a single-file checkpoint must be converted to diffusers format first)"
            if any(
                f.endswith((".ckpt", ".safetensors")) and "/" not in f and f != NULL_EMBEDDING
                for f in files
            )
            else ""
        )
        raise ModelError(
            f"model {name}: the folder is not a model in diffusers format: it needs unet/, vae/, "
            f"scheduler/, text_encoder/ and tokenizer/{hint}"
        )
    if "vae/config.json" not in files:
        raise ModelError(f"model {name}: the part vae/ is missing (vae/config.json)")
    if NULL_EMBEDDING not in files:
        for part in ("text_encoder", "tokenizer"):
            if not _has(files, part):
                raise ModelError(f"model {name}: the part {part}/ is missing")
    for part in _weighty(files):
        checkpoint.variant(part)


def check_family(checkpoint: Checkpoint) -> None:
    """Raises ModelError for a model that is not of the SD 1.x / 2.x family, by its small files."""
    name = checkpoint.name
    unet = checkpoint.config("unet")
    kind = unet.get("_class_name")
    if kind != "UNet2DConditionModel" or unet.get("addition_embed_type"):
        raise ModelError(
            f"model {name}: its unet ({kind}) is not of the SD 1.x / 2.x family, "
            "which StyleID needs"
        )
    latent, channels = checkpoint.config("vae").get("latent_channels"), unet.get("in_channels")
    if latent != channels:
        raise ModelError(
            f"model {name}: the unet takes {channels} channels but the autoencoder makes {latent} "
            "(inpainting and depth models cannot be used)"
        )
