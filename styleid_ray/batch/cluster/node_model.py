"""A job's model on the node at hand: one in an object store is fetched once for all its actors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from styleid_ray.batch.cluster.model_store import Listing, ModelStore, StoredFile
from styleid_ray.config import JobConfig
from styleid_ray.engine.checkpoint import Checkpoint, check_family, find_checkpoint
from styleid_ray.errors import ModelError
from styleid_ray.storage.locations import local_path

CACHE_VARIABLE = "STYLEID_RAY_CACHE"
"""Environment variable that names a node's folder for fetched models."""
_CACHE = "~/.cache/styleid_ray"


def find_model(config: JobConfig) -> Checkpoint:
    """The checkpoint of a job's model, checked; of one that lies elsewhere only with its small
    files. Raises ModelError."""
    place = local_path(config.model)
    if place is not None:
        return find_checkpoint(place, config.revision)
    store = ModelStore(config.model, config.storage_options)
    listing = _listed(store, config.revision)
    small = {name: file for name, file in listing.files.items() if name.endswith(".json")}
    folder = _models() / f"{listing.revision}.small"
    keep(store, small, folder)
    found = store.checkpoint(listing.present, listing.revision, folder)
    check_family(found)
    return found


def model_on_node(config: JobConfig, revision: str | None) -> tuple[str, str | None]:
    """The name and revision that the engine loads a job's model by on this node.

    A model in an object store is fetched, if no other process of the node has done so: the name is
    that of its folder in the node's cache.

    Args:
        config: the job.
        revision: what `find_model` found.

    Raises:
        ModelError: the model cannot be fetched, or is not at that revision any more.
    """
    place = local_path(config.model)
    if place is not None:
        return place, revision
    store = ModelStore(config.model, config.storage_options)
    listing = _listed(store, revision)
    folder = _models() / listing.revision
    keep(store, listing.files, folder)
    return str(folder), None


def keep(store: ModelStore, files: Mapping[str, StoredFile], folder: Path) -> None:
    """Makes sure that a local folder holds these files of a model, whole.

    However many processes of the node ask, one fetches and the others wait. The files come aside
    and are put in place together: a fetch that is cut off leaves nothing that looks whole.
    """
    with _alone(folder):
        if _holds(folder, files):
            return
        aside = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        for name, file in files.items():
            store.fetch(name, file, aside / name)
        now = store.listing().files
        if any(now.get(name) != file for name, file in files.items()):
            raise ModelError(
                f"model {store.name} was changed while it was fetched: start again when it is "
                "all there"
            )
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _listed(store: ModelStore, revision: str | None) -> Listing:
    """What is there now, which must be the revision asked for."""
    listing = store.listing()
    if revision not in (None, listing.revision):
        raise ModelError(
            f"model {store.name} has changed since the job began: it is at revision "
            f"{listing.revision} now, and no more at {revision}; put its files back, or begin a "
            "new run at another --output"
        )
    return listing


def _models() -> Path:
    return Path(os.path.expanduser(os.environ.get(CACHE_VARIABLE) or _CACHE)) / "models"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The block is run by one process of the node at a time."""
    lock = FileLock(f"{folder}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as e:
        why = (isinstance(e, OSError) and e.strerror) or "locks do not work there"
        raise ModelError(
            f"models cannot be kept in {folder.parent} ({why}): name another folder, on a disk of "
            f"each node, in the environment variable {CACHE_VARIABLE}"
        ) from e
    try:
        yield
    finally:
        lock.release()


def _holds(folder: Path, files: Mapping[str, StoredFile]) -> bool:
    """Whether all files are there, in their full size: cleaners of disks take some and leave
    others."""
    try:
        return all((folder / name).stat().st_size == file.size for name, file in files.items())
    except OSError:
        return False
