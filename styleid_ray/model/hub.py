"""Repositories of the Hugging Face hub: find, also in the local cache, and download."""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from styleid_ray.errors import ModelError, first_line

if TYPE_CHECKING:
    from styleid_ray.model.repository import Repository

R = TypeVar("R", bound="Repository")
_LOG = logging.getLogger(__name__)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def find(
    made: Callable[[str, str, Path, Literal["hub"], tuple[str, ...]], R],
    name: str,
    revision: str | None,
    small: Sequence[str],
    remedy: str,
) -> R:
    """The repository of an id, with its small files fetched.

    The local cache replaces the hub when the hub cannot be reached, and for a commit that is whole
    in the cache, without a request.

    Args:
        made: makes a repository of its name, commit, folder, origin and names of files; for one
            from the cache, only of those in the cache.
        name: id of the repository.
        revision: branch, tag or commit; None for its default branch.
        small: patterns of the small files.
        remedy: how to do without the hub, for the messages.

    Raises:
        ModelError: there is no such repository or revision, or it cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def of(folder: Path, files: tuple[str, ...]) -> R:
        return made(name, folder.name, folder, "hub", files)

    if revision and _COMMIT.fullmatch(revision):
        cached = _from_cache(name, revision, small)
        if cached:
            with suppress(ModelError):
                return of(cached, files_below(cached)).check(cached=True)
    try:
        info = HfApi().model_info(name, revision=revision)
    except RevisionNotFoundError as e:
        raise ModelError(
            f"hub model {name} has no revision {revision!r}: name one of its branches, tags or "
            "commits"
        ) from e
    except GatedRepoError as e:
        raise ModelError(
            f"hub model {name} is gated: accept its terms and set HF_TOKEN, or {remedy}"
        ) from e
    except (RepositoryNotFoundError, HFValidationError) as e:
        raise ModelError(
            f"{name!r} is neither a local folder nor a model on the hub; {remedy}"
        ) from e
    except Exception as e:  # the hub client raises many kinds when it cannot connect
        cached = _from_cache(name, revision, small)
        if cached is None:
            raise ModelError(
                f"cannot fetch {name} from the Hugging Face hub ({_reason(e)}); {remedy}"
            ) from e
        if not isinstance(e, OfflineModeIsEnabled):
            _LOG.warning(
                "the Hugging Face hub cannot be used (%s): %s is taken from the local cache, at "
                "commit %s",
                _reason(e),
                name,
                cached.name,
            )
        return of(cached, files_below(cached))
    files = tuple(sorted(s.rfilename for s in info.siblings or ()))
    # By the requested name, under which the cache finds it without the hub.
    return of(download(name, revision, small, remedy), files)


def download(name: str, revision: str | None, patterns: Sequence[str], remedy: str) -> Path:
    """The folder of a repository with the files of these patterns, downloaded once; raises
    ModelError."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except Exception as e:
        raise ModelError(
            f"cannot download {name} from the Hugging Face hub ({_reason(e)}); {remedy}"
        ) from e


def is_id(text: str) -> bool:
    """Whether a text can be the id of a repository, OWNER/NAME, perhaps with @REVISION."""
    name = text.partition("@")[0]
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and "\\" not in name


def files_below(folder: Path) -> tuple[str, ...]:
    """The names of all files below a folder, sorted."""
    return tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()))


def _reason(error: Exception) -> str:
    """Why the hub could not be used: one line without the final full stop."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "not in the local cache, and HF_HUB_OFFLINE forbids a download"
    return first_line(error).rstrip(".")


def _from_cache(name: str, revision: str | None, small: Sequence[str]) -> Path | None:
    """The folder of a repository in the local cache; None if there is none."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(small), local_files_only=True
            )
        )
    except (OSError, ValueError):
        return None
