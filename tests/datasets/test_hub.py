"""Publishing, by the real client of the Hugging Face hub to a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from styleid_ray.datasets.hub import Hub
from styleid_ray.errors import ConfigError, JobError, OutputError
from tests.hub_server import SIGNATURE, TOKEN, HubServer, serving, use

CARD = "---\nlicense: other\n---\n# Cars\n"
HUB_ID = "someone/stylised-cars"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving() as server:
        use(server, monkeypatch)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export: six pictures in two splits, their labels, a card."""
    root = tmp_path / "export"
    for number in range(6):
        picture = root / ("train" if number < 4 else "val") / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"picture %d" % number)
    (root / "labels.json").write_text("{}")
    (root / "empty.txt").write_text("")
    (root / "README.md").write_text(CARD)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def one_line(error: JobError) -> str:
    text = str(error)
    assert "\n" not in text
    assert TOKEN not in text
    assert SIGNATURE not in text
    return text


def test_a_published_folder_is_on_the_hub_byte_for_byte(server: HubServer, folder: Path) -> None:
    url = Hub(HUB_ID).upload(folder)
    assert url == f"{server.endpoint}/datasets/{HUB_ID}"
    assert server.repositories[HUB_ID].files == contents(folder)


def test_a_published_dataset_can_be_downloaded_again(
    server: HubServer, folder: Path, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    Hub(HUB_ID).upload(folder)
    copy = HfApi(endpoint=server.endpoint).snapshot_download(
        HUB_ID, repo_type="dataset", cache_dir=tmp_path / "cache"
    )
    assert contents(Path(copy)) == contents(folder)


def test_publishing_leaves_the_folder_as_it_was_and_prints_nothing(
    server: HubServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    Hub(HUB_ID).upload(folder)
    Hub(HUB_ID).upload(folder)
    assert contents(folder) == before
    assert capfd.readouterr() == ("", "")


def test_publishing_again_sends_no_picture_and_makes_no_commit(
    server: HubServer, folder: Path
) -> None:
    Hub(HUB_ID).upload(folder)
    commits = len(server.repositories[HUB_ID].commits)
    assert len(server.uploads) == 6
    Hub(HUB_ID).upload(folder)
    assert len(server.uploads) == 6
    assert len(server.repositories[HUB_ID].commits) == commits


def test_publishing_again_sends_only_the_picture_that_changed(
    server: HubServer, folder: Path
) -> None:
    Hub(HUB_ID).upload(folder)
    (folder / "val" / "5.png").write_bytes(b"another picture")
    Hub(HUB_ID).upload(folder)
    assert len(server.uploads) == 7
    assert server.repositories[HUB_ID].commits[-1] == ["val/5.png"]
    assert server.repositories[HUB_ID].files == contents(folder)


def test_a_push_that_broke_off_at_a_picture_resumes_and_sends_only_what_is_missing(
    server: HubServer, folder: Path
) -> None:
    server.refuse("PUT", "^/large/", 403, "Request has expired", after=3)
    with pytest.raises(JobError):
        Hub(HUB_ID).upload(folder)
    received = list(server.uploads)
    assert 0 < len(received) < 6
    assert server.repositories[HUB_ID].files == {}
    Hub(HUB_ID).upload(folder)
    assert server.uploads[: len(received)] == received
    assert sorted(server.uploads) == sorted(set(server.uploads))
    assert server.repositories[HUB_ID].files == contents(folder)


def test_a_push_that_broke_off_between_commits_resumes_after_the_last_one(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.datasets.hub._COMMIT_FILES", 3)
    server.refuse("POST", "/commit/main$", 500, "Internal error", after=1)
    with pytest.raises(OutputError, match=r"status 500 \(Internal error\): .* to resume"):
        Hub(HUB_ID).upload(folder)
    repository = server.repositories[HUB_ID]
    [first] = repository.commits
    assert "README.md" not in repository.files, "the card promises files that are not there yet"
    Hub(HUB_ID).upload(folder)
    assert len(server.uploads) == 6
    assert not [commit for commit in repository.commits[1:] if set(commit) & set(first)]
    assert repository.files == contents(folder)


def test_a_commit_that_is_too_large_for_the_hub_is_made_in_parts(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.datasets.hub._SMALLEST_COMMIT", 4)
    server.refuse("POST", "/commit/main$", 504)
    Hub(HUB_ID).upload(folder)
    assert [len(commit) for commit in server.repositories[HUB_ID].commits] == [4, 5]
    assert server.repositories[HUB_ID].files == contents(folder)


def test_large_files_are_committed_a_few_at_a_time(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.datasets.hub._COMMIT_BYTES", 20)
    Hub(HUB_ID).upload(folder)
    assert len(server.repositories[HUB_ID].commits) > 3
    assert server.repositories[HUB_ID].files == contents(folder)


def test_notes_of_git_and_of_the_hub_client_are_not_published(
    server: HubServer, folder: Path
) -> None:
    for name in (".git/config", ".cache/huggingface/upload/0.png.metadata"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("local")
    Hub(HUB_ID).upload(folder)
    assert not [name for name in server.repositories[HUB_ID].files if name.startswith(".")]


def test_a_folder_without_files_is_one_clear_line(server: HubServer, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "not-there"):
        with pytest.raises(OutputError, match="nothing to publish in"):
            Hub(HUB_ID).upload(place)
    assert server.requests == []


@pytest.mark.parametrize(
    "hub_id",
    ["cars", "datasets/someone/cars", "some one/cars", "https://hf.co/datasets/a/b", "a/b--c", ""],
)
def test_an_id_that_the_hub_cannot_have_is_refused_with_an_example(hub_id: str) -> None:
    with pytest.raises(ConfigError, match=r"--push-to .*OWNER/NAME, such as someone/"):
        Hub(hub_id)


def test_the_check_creates_the_repository_once(server: HubServer) -> None:
    hub = Hub(HUB_ID)
    hub.check()
    hub.check()
    Hub(HUB_ID).check()
    assert server.repositories[HUB_ID].files == {}
    assert [path for _, path in server.requests].count("/api/whoami-v2") == 2


def test_a_private_dataset_is_private(server: HubServer) -> None:
    Hub(HUB_ID, private=True).check()
    assert server.repositories[HUB_ID].private
    Hub("someone/public").check()
    assert not server.repositories["someone/public"].private


def test_a_private_dataset_is_not_published_to_a_repository_that_is_public(
    server: HubServer, folder: Path
) -> None:
    Hub(HUB_ID).check()
    with pytest.raises(ConfigError, match="is public, and --private asks for a private dataset"):
        Hub(HUB_ID, private=True).upload(folder)
    assert server.repositories[HUB_ID].files == {}


def test_without_a_token_the_check_tells_how_to_log_in(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="log in with `hf auth login`, or set HF_TOKEN"):
        Hub(HUB_ID).check()
    assert server.requests == []


def test_a_token_that_the_hub_does_not_accept_is_one_line_without_the_token(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_anOldToken")
    with pytest.raises(ConfigError) as caught:
        Hub(HUB_ID).check()
    assert "does not accept the token: log in again" in one_line(caught.value)
    assert "hf_anOldToken" not in str(caught.value)


def test_the_repository_of_somebody_else_is_refused_before_any_upload(
    server: HubServer, folder: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        Hub("another/cars").upload(folder)
    message = one_line(caught.value)
    assert "refuses to write to another/cars (You don't have the rights to" in message
    assert "use a token with write access" in message
    assert server.uploads == []


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "text"),
    [
        ("GET", "whoami", 429, OutputError, "limits the rate of requests"),
        ("GET", "whoami", 503, OutputError, "answered with status 503"),
        ("POST", "repos/create", 500, OutputError, "answered with status 500"),
        ("POST", "preupload", 404, ConfigError, "has no dataset someone/stylised-cars"),
        ("POST", "commit/main", 429, OutputError, "limits the rate of requests"),
        ("POST", "commit/main", 403, ConfigError, "refuses to write to someone/stylised-cars"),
        ("PUT", "large/", 403, ConfigError, "refuses to write to someone/stylised-cars"),
    ],
)
def test_each_refusal_of_the_hub_is_one_line_with_a_remedy_and_without_secrets(
    server: HubServer,
    folder: Path,
    method: str,
    path: str,
    status: int,
    kind: type[JobError],
    text: str,
) -> None:
    reason = f"no, {TOKEN}\nat https://s3.test/x?X-Amz-Signature={SIGNATURE}"
    server.refuse(method, path, status, reason, times=9)
    with pytest.raises(kind) as caught:
        Hub(HUB_ID).upload(folder)
    assert text in one_line(caught.value)


def test_no_hub_at_the_address_is_one_line_that_names_the_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as server:
        use(server, monkeypatch)
    with pytest.raises(OutputError) as caught:
        Hub(HUB_ID).upload(folder)
    assert f"no connection to {server.endpoint}" in one_line(caught.value)
    assert "HF_ENDPOINT" in str(caught.value)


def test_a_password_in_the_address_of_the_hub_is_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as server:
        use(server, monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", f"http://me:pass@127.0.0.1:{server.server_port}")
    with pytest.raises(OutputError) as caught:
        Hub(HUB_ID).upload(folder)
    assert "pass@" not in one_line(caught.value)


def test_offline_mode_is_one_line_that_says_what_to_unset(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="unset HF_HUB_OFFLINE"):
        Hub(HUB_ID).check()


def test_the_card_can_be_updated_alone(server: HubServer, folder: Path) -> None:
    hub = Hub(HUB_ID)
    hub.upload(folder)
    assert hub.upload_card(CARD + "10 of 20\n") is None
    repository = server.repositories[HUB_ID]
    assert repository.commits[-1] == ["README.md"]
    assert repository.files["README.md"].decode() == CARD + "10 of 20\n"
    assert len(repository.files) == len(contents(folder))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("whoami", "does not accept the token"),
        ("preupload", "does not accept the token"),
        ("commit/main", "does not accept the token"),
    ],
)
def test_a_card_that_the_hub_refuses_is_a_line_and_no_error(
    server: HubServer, path: str, text: str
) -> None:
    server.refuse("GET" if path == "whoami" else "POST", path, 401, "no")
    line = Hub(HUB_ID).upload_card(CARD)
    assert line is not None
    assert line.startswith(f"the card of {HUB_ID} is not updated: ")
    assert text in line
    assert Hub(HUB_ID).upload_card(CARD) is None


def test_a_card_without_valid_front_matter_is_a_line_with_the_reason(server: HubServer) -> None:
    line = Hub(HUB_ID).upload_card("---\nlicense: [\n---\n")
    assert line is not None
    assert "the front matter is no YAML" in line


def test_the_settings_of_the_hub_client_are_the_callers_again_after_publishing(
    server: HubServer, folder: Path
) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled, logging

    before = logging.get_verbosity(), are_progress_bars_disabled()
    Hub(HUB_ID).upload(folder)
    assert (logging.get_verbosity(), are_progress_bars_disabled()) == before
