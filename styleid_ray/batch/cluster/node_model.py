"""A job's model on a node: a model in an object store is fetched once for all actors."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from styleid_ray.batch.cluster.model_store import ModelStore
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
    store = ModelStore(config.model, config.storage_options)
    listing = store.listing(config.revision)
    small = {name: v for name, v in listing.versions.items() if name.endswith(".json")}
    folder = _kept(store, small, f"{listing.revision}.small")
    return replace(listing.checkpoint, revision=listing.revision, folder=folder).check()


def model_on_node(config: JobConfig, revision: str | None) -> tuple[str, str | None]:
    """The name and revision by which the engine loads a job's model on this node.

    A model in an object store is fetched unless another process of the node has done so; its name
    is then its folder in the node's cache. Raises ModelError if it cannot be fetched, or is no
    longer at `revision`, that of the checkpoint from `find_model`.
    """
    place = local_path(config.model)
    if place is not None:
        return place, revision
    store = ModelStore(config.model, config.storage_options)
    listing = store.listing(revision)
    return str(_kept(store, listing.versions, listing.revision)), None


def _kept(store: ModelStore, versions: Mapping[str, str], name: str) -> Path:
    """The folder `name` in the node's cache, with the given files of a model.

    One process of the node fetches, the others wait. The files are fetched into another folder,
    which is then renamed, so that an interrupted fetch never looks complete.
    """
    folder = Path(os.environ.get(CACHE_VARIABLE) or _CACHE).expanduser() / "models" / name
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
            _fetch(store, versions, folder)
    finally:
        lock.release()
    return folder


def _fetch(store: ModelStore, versions: Mapping[str, str], folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    store.fetch(versions, aside)
    if not versions.items() <= store.listing().versions.items():
        raise ModelError(
            f"model {store.name} changed while it was being fetched: start again when it is "
            "complete"
        )
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def _holds(folder: Path, versions: Mapping[str, str]) -> bool:
    """Whether all files exist in their full size: disk cleaners may remove only some."""
    try:
        return all((folder / name).stat().st_size == size_in(v) for name, v in versions.items())
    except OSError:
        return False
