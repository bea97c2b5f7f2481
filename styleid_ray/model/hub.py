"""Repositories of the Hugging Face hub: find, also in the local cache, and download."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from styleid_ray.errors import ModelError, first_line

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Snapshot:
    """A repository at a commit."""

    commit: str
    folder: Path
    """Its folder in the local cache, with at least the small files."""
    files: tuple[str, ...]
    """Names of all its files; of a cached repository, of the existing files."""


@dataclass(frozen=True)
class Hints:
    """Advice for error messages."""

    revision: str
    """The option for a revision."""
    remedy: str
    """A remedy without the hub."""


def find(
    name: str,
    revision: str | None,
    small: Sequence[str],
    is_whole: Callable[[Snapshot], bool],
    hints: Hints,
) -> Snapshot:
    """The repository of an id, with its small files fetched.

    The local cache replaces the hub when the hub cannot be reached, and for a commit that is whole
    in the cache, without a request.

    Args:
        name: id of the repository.
        revision: branch, tag or commit; None for its default branch.
        small: patterns of the small files.
        is_whole: whether a snapshot contains all needed files.
        hints: for the messages.

    Raises:
        ModelError: there is no such repository or revision, or it cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if revision and _COMMIT.fullmatch(revision):
        cached = _from_cache(name, revision, small)
        if cached and is_whole(cached):
            return cached
    try:
        info = HfApi().model_info(name, revision=revision)
    except RevisionNotFoundError as e:
        raise ModelError(
            f"hub model {name} has no revision {revision!r}: check {hints.revision}"
        ) from e
    except GatedRepoError as e:
        raise ModelError(
            f"hub model {name} is gated: accept its terms and set HF_TOKEN, or {hints.remedy}"
        ) from e
    except (RepositoryNotFoundError, HFValidationError) as e:
        raise ModelError(
            f"{name!r} is neither a local folder nor a model on the hub; {hints.remedy}"
        ) from e
    except Exception as e:  # the hub client raises many kinds when it cannot connect
        cached = _from_cache(name, revision, small)
        if cached is None:
            raise ModelError(
                f"cannot fetch {name} from the Hugging Face hub ({_reason(e)}); {hints.remedy}"
            ) from e
        return cached
    files = tuple(sorted(s.rfilename for s in info.siblings or ()))
    # By the requested name, under which the cache finds it without the hub.
    folder = download(name, revision, small, hints)
    return Snapshot(folder.name, folder, files)


def download(name: str, revision: str | None, patterns: Sequence[str], hints: Hints) -> Path:
    """The folder of a repository with the files of these patterns, downloaded once; raises
    ModelError."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except Exception as e:
        raise ModelError(
            f"cannot download {name} from the Hugging Face hub ({_reason(e)}); {hints.remedy}"
        ) from e


def files_below(folder: Path) -> tuple[str, ...]:
    """The names of all files below a folder, sorted."""
    return tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()))


def _reason(error: Exception) -> str:
    """Why the hub could not be used: one line without the final full stop."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "not in the local cache, and HF_HUB_OFFLINE forbids a download"
    return first_line(error).rstrip(".")


def _from_cache(name: str, revision: str | None, small: Sequence[str]) -> Snapshot | None:
    """The part of a repository in the local cache; None if there is none."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(small), local_files_only=True
            )
        )
    except (OSError, ValueError):
        return None
    return Snapshot(folder.name, folder, files_below(folder))
