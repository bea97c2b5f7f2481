"""What passes is tried again, what stays is a row error, and nothing above the bound is read."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
import stamina
from fsspec.implementations.memory import MemoryFileSystem

from styleid_ray.errors import RowError
from styleid_ray.storage.fetch import ATTEMPTS, Fetched, fetch, read_bytes
from styleid_ray.storage.locations import join, shown
from tests.unreliable import unreliable


class Flaky(MemoryFileSystem):
    """A filesystem that fails a few times before it answers."""

    protocol = "flaky"
    store = MemoryFileSystem.store
    failures = 0
    calls = 0
    error: Exception = OSError(5, "SlowDown")

    def info(self, path, **options):
        return {"name": path, "type": "file", "size": 7}

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


def test_a_transient_failure_is_retried(flaky, monkeypatch):
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
def test_a_permanent_failure_is_not_retried(flaky, monkeypatch, error):
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


def test_a_local_file_above_the_bound_is_not_read(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(2**32 + 1)
    with pytest.raises(RowError, match=r"more than 4,294,967,296 bytes \(--max-bytes\)"):
        fetch(str(tmp_path / "a.png"), max_bytes=2**32)


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


BOUND = 2**20


class Endless(BaseHTTPRequestHandler):
    """Pictures without an end; and without a HEAD, as presigned URLs have none."""

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/long.png":
            self.send_header("Content-Length", str(2**40))
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(bytes(2**16))
                Endless.sent += 2**16

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""

    sent = 0


@pytest.mark.parametrize("name", ["endless.png", "long.png"])
def test_a_web_server_that_sends_more_than_the_bound_is_cut_off(monkeypatch, name):
    monkeypatch.setattr(Endless, "sent", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(RowError, match=r"more than 1,048,576 bytes \(--max-bytes\)") as caught:
            fetch(f"http://127.0.0.1:{server.server_port}/{name}", max_bytes=BOUND)
    finally:
        server.shutdown()
        server.server_close()  # waits for the requests in progress to end
    assert caught.value.stage == "fetch"
    assert Endless.sent < 100 * BOUND


def test_an_object_above_the_bound_is_not_read(s3, s3_endpoint):
    with unreliable(s3_endpoint, share=0) as proxy:
        options = {"endpoint_url": proxy.address}
        fsspec.filesystem("s3", **options).pipe_file(f"{s3}/a.png", bytes(BOUND + 1))
        with pytest.raises(RowError, match=r"more than 1,048,576 bytes \(--max-bytes\)"):
            fetch(f"{s3}/a.png", options, max_bytes=BOUND)
        assert not [path for path in proxy.gets if "a.png" in path]
        assert len(fetch(f"{s3}/a.png", options, max_bytes=BOUND + 1).data) == BOUND + 1


def test_an_empty_object_is_read_as_no_bytes(s3):
    fsspec.filesystem("s3").pipe_file(f"{s3}/empty.png", b"")
    assert fetch(f"{s3}/empty.png").data == b""


def test_a_folder_of_a_store_is_not_a_file(s3):
    fsspec.filesystem("s3").pipe_file(f"{s3}/in/a.png", b"x")
    with pytest.raises(RowError, match="it is a folder, not a file"):
        fetch(f"{s3}/in")


def test_a_filesystem_without_sizes_is_read_up_to_the_bound():
    class Sizeless(MemoryFileSystem):
        protocol = "sizeless"

        def info(self, path, **options):
            return {"name": path, "type": "file", "size": None}

        def open(self, path, mode="rb", **options):
            return io.BytesIO(b"12345")

    fsspec.register_implementation("sizeless", Sizeless, clobber=True)
    assert fetch("sizeless://a.png", max_bytes=5) == Fetched(b"12345", "")
    with pytest.raises(RowError, match="more than 4 bytes"):
        fetch("sizeless://a.png", max_bytes=4)
