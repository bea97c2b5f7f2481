"""What passes is tried again, what stays is told as a row error."""

from __future__ import annotations

import fsspec
import pytest
import stamina
from fsspec.implementations.memory import MemoryFileSystem

from styleid_ray.errors import RowError
from styleid_ray.planning import read_bytes
from styleid_ray.storage.fetch import ATTEMPTS
from styleid_ray.storage.locations import join, shown


class Flaky(MemoryFileSystem):
    """A filesystem that fails a few times before it answers."""

    protocol = "flaky"
    store = MemoryFileSystem.store
    failures = 0
    calls = 0
    error: Exception = OSError(5, "SlowDown")

    def cat_file(self, path, start=None, end=None, **options):
        Flaky.calls += 1
        if Flaky.calls <= Flaky.failures:
            raise Flaky.error
        return b"picture"


@pytest.fixture(autouse=True)
def flaky(monkeypatch):
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(Flaky, "calls", 0)
    stamina.set_testing(True, attempts=ATTEMPTS)
    yield Flaky
    stamina.set_testing(False)


def test_a_passing_failure_is_tried_again(flaky, monkeypatch):
    monkeypatch.setattr(flaky, "failures", ATTEMPTS - 1)
    assert read_bytes("flaky://a.png") == b"picture"


def test_a_lasting_failure_is_a_row_error_without_secrets(flaky, monkeypatch):
    monkeypatch.setattr(flaky, "failures", 99)
    monkeypatch.setattr(
        flaky, "error", TimeoutError("GET https://me:pw@host/a.png?X-Amz-Signature=abc\nfailed")
    )
    with pytest.raises(RowError) as caught:
        read_bytes("flaky://a.png")
    assert flaky.calls == ATTEMPTS
    message = str(caught.value)
    assert "https://...@host/a.png?..." in message
    assert "abc" not in message
    assert "pw" not in message
    assert "\n" not in message


@pytest.mark.parametrize("error", [FileNotFoundError("x"), PermissionError("x")])
def test_a_permanent_failure_is_not_tried_again(flaky, monkeypatch, error):
    monkeypatch.setattr(flaky, "failures", 99)
    monkeypatch.setattr(flaky, "error", error)
    with pytest.raises(RowError):
        read_bytes("flaky://a.png")
    assert flaky.calls == 1


def test_local_failures_are_row_errors(tmp_path):
    for path, message in ((tmp_path / "none.png", "does not exist"), (tmp_path, "folder")):
        with pytest.raises(RowError, match=message) as caught:
            read_bytes(str(path))
        assert caught.value.stage == "fetch"


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(2**32 + 1)
    with pytest.raises(RowError, match="4,294,967,297 bytes, more than 4 GiB"):
        read_bytes(str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("root", "key", "url"),
    [
        ("/data", "a/b.png", "/data/a/b.png"),
        ("/", "a.png", "/a.png"),
        ("s3://bucket/in/", "a.png", "s3://bucket/in/a.png"),
        ("memory://", "a.png", "memory://a.png"),
        ("zip://in::s3://bucket/x.zip", "a.png", "zip://in/a.png::s3://bucket/x.zip"),
        ("zip://::s3://bucket/x.zip", "a.png", "zip://a.png::s3://bucket/x.zip"),
        ("/data", "https://host/a.png", "https://host/a.png"),
        ("s3://bucket", "/abs/a.png", "/abs/a.png"),
    ],
)
def test_a_key_below_a_root_makes_a_location(root, key, url):
    assert join(root, key) == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://key:secret@host/a\nb.png", "s3://...@host/a\\nb.png"),
        (
            "http://me:p@ss'w@host/x y's.png?sig=abc is gone",
            "http://...@host/x y's.png?... is gone",
        ),
        ("s3://bucket/me@home.png", "s3://bucket/me@home.png"),
        ("is it at http://host/x? No", "is it at http://host/x? No"),
    ],
)
def test_locations_are_shown_on_one_line_without_secrets(text, said):
    assert shown(text) == said
