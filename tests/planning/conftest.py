"""Folders of pictures on the disk, and an S3 server on loopback."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from PIL import Image

Folder = Callable[[str, Iterable[str]], Path]


def picture_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make a folder below tmp_path with files of these names."""

    def make(name: str, files: Iterable[str]) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture_bytes())
        return root

    return make


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Put files into a new bucket, reached by the usual environment; gives the bucket's URL."""
    import boto3
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    name = f"bucket-{id(monkeypatch)}"
    client.create_bucket(Bucket=name)

    def put(files: Iterable[str], body: bytes | None = None) -> str:
        for file in files:
            client.put_object(Bucket=name, Key=file, Body=body or picture_bytes())
        return f"s3://{name}"

    yield put
    s3fs.S3FileSystem.clear_instance_cache()
