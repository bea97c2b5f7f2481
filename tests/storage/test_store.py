"""An output that cannot be written, and the reason that its user reads."""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.errors import OutputError
from styleid_ray.storage.store import Store


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk in memory with the given options."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def make(options: str) -> Path:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip(f"needs to mount a tmpfs: {mounted.stderr.strip()}")
        return disk

    yield make
    subprocess.run(["umount", "--lazy", str(disk)], check=False, capture_output=True)


def refused(store: Store, check: str = "check_writable") -> str:
    with pytest.raises(OutputError) as error:
        getattr(store, check)()
    return str(error.value)


def test_a_missing_bucket_is_named(s3: str) -> None:
    message = refused(Store(f"{s3}-elsewhere/run"))
    bucket = f"{s3}-elsewhere".removeprefix("s3://")
    assert message == (
        f"{s3}-elsewhere/run cannot be written (there is no bucket or container {bucket}): "
        "create it, or check the URL"
    )


@pytest.mark.parametrize(
    ("check", "done"), [("check_writable", "written"), ("check_reachable", "read")]
)
def test_an_address_without_a_server_is_reported_as_such(check: str, done: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = {"key": "someone", "secret": "something", "endpoint_url": f"http://127.0.0.1:{port}"}
    message = refused(Store("s3://bucket/run", options), check)
    assert message.startswith(f"s3://bucket/run cannot be {done} (no server answers: ")
    assert f"http://127.0.0.1:{port}/bucket" in message
    assert message.endswith("check the endpoint's URL and the network")


def test_a_full_disk_is_reported_as_full(mount: Callable[[str], Path]) -> None:
    disk = mount("size=64k")
    with pytest.raises(OSError, match="No space left"), open(disk / "ballast", "wb") as ballast:
        ballast.write(bytes(2**17))
    message = refused(Store(str(disk / "run")))
    assert "No space left on device" in message
    assert message.endswith("): make room there")


def test_a_read_only_folder_is_reported_as_read_only(mount: Callable[[str], Path]) -> None:
    message = refused(Store(str(mount("ro") / "deep" / "run")))
    assert "Read-only file system" in message
    assert message.endswith("): check permissions and credentials")


def test_a_file_in_the_place_of_a_folder_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(Store(str(tmp_path / "file" / "run")))


def test_a_writable_output_is_left_unchanged(tmp_path: Path, s3: str) -> None:
    import s3fs

    Store(str(tmp_path / "deep" / "run")).check_writable()
    Store(f"{s3}/deep/run").check_reachable()
    Store(f"{s3}/deep/run").check_writable()
    assert list(tmp_path.iterdir()) == []
    assert s3fs.S3FileSystem().find(s3) == []


def test_an_error_unrelated_to_files_is_raised_unchanged(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    with pytest.raises(ZeroDivisionError), store.writing("data/a.parquet") as file:
        file.write(bytes(1 // 0))
    full = pytest.raises(OutputError, match=r"a\.parquet cannot be written .*make room")
    with full, store.writing("data/a.parquet"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()] == []


def test_a_defect_of_a_reader_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("data/a.parquet", b"no Parquet")
    with pytest.raises(AttributeError, match="no_such_method"):
        store.parsed("data/a.parquet", lambda f: f.no_such_method())
    with pytest.raises(pa.ArrowInvalid):
        store.parsed("data/a.parquet", pq.read_table)
