"""Publishing a folder or a card to a dataset repository of the Hugging Face hub."""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    validate_repo_id,
)
from huggingface_hub.utils import logging as hub_logging

from styleid_ray.datasets.card import CARD
from styleid_ray.datasets.hub_trouble import hub_trouble
from styleid_ray.errors import ConfigError, JobError, OutputError
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import without_secrets

_COMMIT_FILES = 500
_COMMIT_BYTES = 10 * 2**30
_SMALLEST_COMMIT = 50
"""A failed commit of more files than this is split and retried."""
_TOO_MUCH = (413, 500, 502, 503, 504)
"""Status codes of the hub for a commit that may be too large."""
_NOT_PUBLISHED = {".git", ".cache"}
"""Folders that the hub rejects; huggingface_hub itself uses the second one."""


class Hub:
    """One dataset repository of the hub, at HF_ENDPOINT where that is set.

    Args:
        hub_id: OWNER/NAME of the repository, from --push-to.
        private: create a private repository.

    Raises:
        ConfigError: `hub_id` does not have this form.
    """

    def __init__(self, hub_id: str, private: bool = False) -> None:
        self.hub_id = _valid(hub_id)
        self.private = private
        self._token: str | None = None
        self._checked = False

    @property
    def endpoint(self) -> str:
        """Address of the hub; huggingface_hub itself reads HF_ENDPOINT only on import."""
        return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")

    @property
    def url(self) -> str:
        """Address of the dataset's page, without a password in HF_ENDPOINT."""
        return f"{without_secrets(self.endpoint)}/datasets/{self.hub_id}"

    def check(self) -> None:
        """Make sure that the hub accepts our files; creates a missing repository.

        Meant for the start of a job, which must not fail for want of a token after hours of work.

        Raises:
            ConfigError: there is no token, the hub does not accept it, it has no write access to
                the repository, or the repository is public and `private` is true.
            OutputError: the hub cannot be reached, or answers with an error.
        """
        if self._checked:
            return
        with self._client() as api:
            self._token = get_token()
            if self._token is None:
                raise LocalTokenNotFoundError
            api.whoami()
            # Not False: an organisation's new repositories may be private by default.
            api.create_repo(
                self.hub_id, repo_type="dataset", private=self.private or None, exist_ok=True
            )
            if self.private and not api.dataset_info(self.hub_id).private:
                raise ConfigError(
                    f"{self.hub_id} is public, and --private asks for a private dataset: make it "
                    f"private at {self.url}/settings, or choose another name for --push-to"
                )
        self._checked = True

    def upload(self, folder: str | Path) -> str:
        """Publish every file of a folder; files that the hub already has are not sent again.

        Commits hold some hundred files each, the last one the card. After an interruption the next
        call resumes: file contents that reached the hub stay there, even without a commit. Nothing
        is written to the folder, and nothing is deleted from the repository.

        Args:
            folder: a local folder; a link to a file counts as that file.

        Returns:
            Address of the dataset's page.

        Raises:
            ConfigError: as `check`, which runs unless it ran before.
            OutputError: the folder is missing or empty, or the upload failed.
        """
        names = _files(Path(folder))
        self.check()
        self._check_same(names)
        done = 0
        for batch in _batches(Path(folder), names):
            message = f"Add files {done + 1:,} to {done + len(batch):,} of {len(names):,}"
            with self._client() as api:
                self._commit(api, Path(folder), batch, message)
            done += len(batch)
        return self.url

    def _check_same(self, names: Sequence[str]) -> None:
        """Raises ConfigError where the repository holds another dataset's files."""
        with self._client() as api:
            existing = api.list_repo_files(self.hub_id, repo_type="dataset")
        others = sorted(name for name in set(existing) - set(names) if not _OWN.match(name))
        if others:
            raise ConfigError(
                f"--push-to {self.hub_id} holds other files ({shown(others[0])} and "
                f"{len(others) - 1} more): delete them at {self.url}/tree/main, or choose another "
                "dataset"
            )

    def upload_card(self, text: str) -> str | None:
        """Publish only the card, as during a long run; raises nothing. Returns None when the card
        is published, else one line with the reason."""
        try:
            self.check()
            with self._client() as api:
                card = CommitOperationAdd(path_in_repo=CARD, path_or_fileobj=text.encode())
                self._create_commit(api, [card], "Update the card")
        except JobError as error:
            return f"the card of {self.hub_id} is not updated: {error}"
        return None

    def _commit(self, api: HfApi, folder: Path, names: Sequence[str], message: str) -> None:
        """One commit, or several smaller ones after a failure."""
        # New for each attempt, since the hub may have the files although its answer was lost.
        additions = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names
        ]
        try:
            self._create_commit(api, additions, message)
        except HfHubHTTPError as error:
            if len(names) <= _SMALLEST_COMMIT or error.response.status_code not in _TOO_MUCH:
                raise
            half = len(names) // 2
            self._commit(api, folder, names[:half], message)
            self._commit(api, folder, names[half:], message)

    def _create_commit(
        self, api: HfApi, additions: Sequence[CommitOperationAdd], message: str
    ) -> None:
        api.create_commit(self.hub_id, additions, commit_message=message, repo_type="dataset")

    @contextmanager
    def _client(self) -> Iterator[HfApi]:
        """The hub's silenced client, whose errors become a JobError: one line with a remedy."""
        try:
            with _quiet():
                yield HfApi(endpoint=self.endpoint, library_name="styleid-ray")
        except JobError:
            raise
        except Exception as error:  # from httpx, hf_xet, the disk ... depending on the version
            raise hub_trouble(error, self.hub_id, self.endpoint, self._token) from error


_OWN = re.compile(r"\.git|README\.md$|LICEN[CS]E", re.IGNORECASE)
"""Files of a repository that may accompany any dataset."""


def _valid(hub_id: str) -> str:
    with suppress(HFValidationError):
        validate_repo_id(hub_id)
        if hub_id.count("/") == 1:
            return hub_id
    raise ConfigError(
        f"--push-to {shown(hub_id)} is not the id of a dataset: use OWNER/NAME, such as "
        "someone/stylised-cars, of letters, digits and single '-', '_' and '.'"
    )


def _files(folder: Path) -> list[str]:
    """The files to publish, as paths below the folder with '/'; the card comes last."""
    paths = (path.relative_to(folder) for path in folder.glob("**/*") if path.is_file())
    names = [
        path.as_posix()
        for path in paths
        if not any(part in _NOT_PUBLISHED or part.startswith(".export") for part in path.parts)
    ]
    if not names:
        raise OutputError(f"there is nothing to publish in {shown(str(folder))}")
    return sorted(names, key=lambda name: (name == CARD, name))


def _batches(folder: Path, names: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    held = 0
    for name in names:
        size = (folder / name).stat().st_size
        if batch and (len(batch) >= _COMMIT_FILES or held + size > _COMMIT_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(name)
        held += size
    yield batch


_quiet_lock = threading.Lock()
_quiet_users = 0
_before: tuple[int, bool] = (0, False)
"""Verbosity, and whether bars were shown, before the first user of `_quiet`."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides huggingface_hub's bars and warnings, which quote signed URLs. The last of concurrent
    threads restores them: an upload of the card may outlast its run."""
    global _quiet_users, _before
    with _quiet_lock:
        _quiet_users += 1
        if _quiet_users == 1:
            # The user's HF_HUB_DISABLE_PROGRESS_BARS has precedence.
            free = constants.HF_HUB_DISABLE_PROGRESS_BARS is None
            _before = hub_logging.get_verbosity(), free and not are_progress_bars_disabled()
            hub_logging.set_verbosity_error()
            if _before[1]:
                disable_progress_bars()
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users -= 1
            if _quiet_users == 0:
                hub_logging.set_verbosity(_before[0])
                if _before[1]:
                    enable_progress_bars()
