"""Shared fixtures: the reference data and the small models that tests run on."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tiny tensors: threads would only wait for one another. Ray's workers inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

PARITY = Path(__file__).parent / "data" / "parity"


@pytest.fixture(scope="session")
def parity() -> Path:
    """Folder with reference tensors of the authors' two implementations."""
    return PARITY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random model with every part of Stable Diffusion 1.x."""
    from tests.families import save_sd1

    return save_sd1(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server: that of STYLEID_RAY_TEST_S3_ENDPOINT, with the credentials of the
    usual variables, or else one on loopback."""
    address = os.environ.get("STYLEID_RAY_TEST_S3_ENDPOINT")
    if address:
        yield address
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a new, empty bucket, reached by the usual environment."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    if "STYLEID_RAY_TEST_S3_ENDPOINT" not in os.environ:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{uuid.uuid4().hex}"
    store = s3fs.S3FileSystem()
    store.mkdir(bucket)
    yield f"s3://{bucket}"
    if "STYLEID_RAY_TEST_S3_ENDPOINT" in os.environ:
        store.invalidate_cache()
        store.rm(bucket, recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def s3_options(s3: str) -> dict[str, str]:
    """Storage options that reach the bucket, for processes without its environment."""
    names = {
        "key": "AWS_ACCESS_KEY_ID",
        "secret": "AWS_SECRET_ACCESS_KEY",
        "endpoint_url": "AWS_ENDPOINT_URL",
    }
    return {option: os.environ[name] for option, name in names.items()}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need an S3 server."""
    for item in items:
        if "s3_endpoint" in getattr(item, "fixturenames", ()):
            item.add_marker("s3")
