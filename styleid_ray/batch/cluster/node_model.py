"""A job's model on a node: a model in an object store is fetched once for all actors."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from styleid_ray.batch.cluster.model_store import StoredModel
from styleid_ray.config import PIXEL_METHODS, JobConfig
from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import NO_MODEL, Checkpoint, find_checkpoint
from styleid_ray.model.lora import with_loras
from styleid_ray.model.vae import with_vae
from styleid_ray.model.whole import PICKLES
from styleid_ray.storage.locations import local_path, shown
from styleid_ray.storage.version import size_in

CACHE_VARIABLE = "STYLEID_RAY_CACHE"
"""Environment variable that names a node's folder for fetched models."""
_CACHE = "~/.cache/styleid_ray"


def find_model(config: JobConfig) -> Checkpoint:
    """The checked checkpoint of a job's model, with its other autoencoder and LoRA weights, if any.
    A remote model has only its small files, and a method without a model has `NO_MODEL`. Raises
    ModelError."""
    if config.method in PIXEL_METHODS:
        return NO_MODEL
    return with_loras(with_vae(_checkpoint(config), config.vae), config.lora)


def _checkpoint(config: JobConfig) -> Checkpoint:
    place = local_path(config.model)
    if place is not None:
        only = "vae" if config.method == "latent-adain" else ""
        return find_checkpoint(place, config.revision, only)
    if config.model.endswith((".safetensors", *PICKLES)):
        raise ModelError(
            f"--model {shown(config.model)}: a model in one file must have a local path: copy it "
            "to one that every node has"
        )
    model = StoredModel(config.model, config.storage_options, config.revision)
    return replace(model.checkpoint, folder=_kept(model, small=True)).check()


def model_on_node(config: JobConfig, revision: str | None) -> tuple[str, str | None]:
    """The name and revision by which the engine loads a job's model on this node.

    A model in an object store is fetched unless another process of the node has done so; its name
    is then its folder in the node's cache. Raises ModelError if it cannot be fetched, or is no
    longer at `revision`, that of the checkpoint from `find_model`.
    """
    place = local_path(config.model)
    if place is not None:
        return place, revision
    return str(_kept(StoredModel(config.model, config.storage_options, revision))), None


def _kept(model: StoredModel, small: bool = False) -> Path:
    """The folder of a model in the node's cache; with `small`, with its JSON files alone.

    One process of the node fetches, the others wait. The files are fetched into another folder,
    which is then renamed, so that an interrupted fetch never looks complete.
    """
    name = f"{model.checkpoint.revision}{'.small' * small}"
    folder = Path(os.environ.get(CACHE_VARIABLE) or _CACHE).expanduser() / "models" / name
    versions = {n: v for n, v in model.versions.items() if n.endswith(".json") or not small}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except (OSError, NotImplementedError) as e:
        why = (isinstance(e, OSError) and e.strerror) or "locks do not work there"
        raise ModelError(
            f"models cannot be kept in {folder.parent} ({why}): name another folder, on a disk of "
            f"each node, in the environment variable {CACHE_VARIABLE}"
        ) from e
    try:
        if not _holds(folder, versions):
            aside = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(aside, ignore_errors=True)
            model.fetch(versions, aside)
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
    finally:
        lock.release()
    return folder


def _holds(folder: Path, versions: dict[str, str]) -> bool:
    """Whether all files exist in their full size: disk cleaners may remove only some."""
    try:
        return all((folder / name).stat().st_size == size_in(v) for name, v in versions.items())
    except OSError:
        return False
