"""A job's model on a node: one in an object store is fetched once for all its actors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from styleid_ray.batch.cluster.model_store import Listing, ModelStore
from styleid_ray.config import PIXEL_METHODS, JobConfig
from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import NO_MODEL, Checkpoint, check, find_checkpoint
from styleid_ray.model.lora import with_loras
from styleid_ray.model.single_file import PICKLES
from styleid_ray.model.vae import with_vae
from styleid_ray.storage.locations import local_path, shown
from styleid_ray.storage.version import size_in

CACHE_VARIABLE = "STYLEID_RAY_CACHE"
"""Environment variable that names a node's folder for fetched models."""
_CACHE = "~/.cache/styleid_ray"


def find_model(config: JobConfig) -> Checkpoint:
    """The checkpoint of a job's model, with its other autoencoder and LoRA weights if any, checked;
    of one that lies elsewhere only with its small files; `NO_MODEL` of a method that needs none.
    Raises ModelError."""
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
            f"--model {shown(config.model)}: a model in one file is taken from a local path: copy "
            "it to one that every node has"
        )
    store = ModelStore(config.model, config.storage_options)
    listing = _listed(store, config.revision)
    small = {name: v for name, v in listing.versions.items() if name.endswith(".json")}
    folder = _kept(store, small, f"{listing.revision}.small")
    return check(store.checkpoint(listing, folder))


def model_on_node(config: JobConfig, revision: str | None) -> tuple[str, str | None]:
    """The name and revision that the engine loads a job's model by on this node.

    A model in an object store is fetched, if no other process of the node has done so: the name is
    that of its folder in the node's cache.

    Args:
        config: the job.
        revision: that of the checkpoint from `find_model`.

    Raises:
        ModelError: the model cannot be fetched, or is not at that revision any more.
    """
    place = local_path(config.model)
    if place is not None:
        return place, revision
    store = ModelStore(config.model, config.storage_options)
    listing = _listed(store, revision)
    return str(_kept(store, listing.versions, listing.revision)), None


def _listed(store: ModelStore, revision: str | None) -> Listing:
    """The model's files now; they must be at the revision asked for."""
    listing = store.listing()
    if revision not in (None, listing.revision):
        raise ModelError(
            f"model {store.name} has changed since the job began: it is at revision "
            f"{listing.revision} now, and no more at {revision}; put its files back, or begin a "
            "new run at another --output"
        )
    return listing


def _kept(store: ModelStore, versions: Mapping[str, str], name: str) -> Path:
    """The folder of this name in the node's cache, with these files of a model, whole.

    However many processes of the node ask, one fetches and the others wait. The files come aside
    and are put in place together: a fetch that is cut off leaves nothing that looks whole.
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
            f"model {store.name} was changed while it was fetched: start again when it is all there"
        )
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def _holds(folder: Path, versions: Mapping[str, str]) -> bool:
    """Whether all files are there, in their full size: cleaners of disks take some and leave
    others."""
    try:
        return all((folder / name).stat().st_size == size_in(v) for name, v in versions.items())
    except OSError:
        return False
