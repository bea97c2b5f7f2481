"""Files above the bound of one put, which travel to an object store in parts."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import s3fs

from styleid_ray.errors import OutputError
from styleid_ray.storage.store import Store
from tests.unreliable import Unreliable, unreliable

pytestmark = pytest.mark.cluster
PART = 50 * 2**20
SIZE = 2 * PART + 1  # s3fs puts less than two parts at once
NAME = "data/large.parquet"

_WRITE = """
import sys
from styleid_ray.storage.store import Store

with Store(sys.argv[1]).writing(sys.argv[2]) as file:
    file.write(bytes(int(sys.argv[3])))
"""


@pytest.fixture(scope="module")
def large() -> bytes:
    """Bytes that no part has twice."""
    return np.random.default_rng(0).bytes(SIZE)


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Unreliable]:
    """A proxy on which every request works until a test decides otherwise."""
    with unreliable(s3_endpoint, share=0) as proxy:
        yield proxy


def store(bucket: str, endpoint: str) -> Store:
    """A folder in a bucket, reached through an endpoint."""
    keys = {"key": os.environ["AWS_ACCESS_KEY_ID"], "secret": os.environ["AWS_SECRET_ACCESS_KEY"]}
    return Store(f"{bucket}/run", {**keys, "endpoint_url": endpoint})


def stored(bucket: str) -> tuple[str, int]:
    """Digest of the large file, and the number of parts that its ETag tells."""
    fs = s3fs.S3FileSystem()
    fs.invalidate_cache()
    path = f"{bucket}/run/{NAME}"
    data: Any = fs.cat_file(path)
    etag = fs.info(path)["ETag"].strip('"')
    return hashlib.sha256(data).hexdigest(), int(etag.partition("-")[2] or 1)


def request(method: str, path: str) -> str:
    """The step of an upload that a request belongs to, or nothing."""
    query = path.partition("?")[2]
    if method == "PUT" and "partNumber=2" in query:
        return "part"
    if method != "POST":
        return ""
    return "complete" if "uploadId" in query else "begin" if "uploads" in query else ""


@pytest.mark.parametrize("how", ["bytes", "stream"])
def test_a_file_above_the_bound_of_one_put_arrives_whole(s3: str, large: bytes, how: str) -> None:
    output = Store(f"{s3}/run")
    if how == "bytes":
        output.write(NAME, large)
    else:
        with output.writing(NAME) as file:
            for start in range(0, SIZE, 2**20):
                file.write(large[start : start + 2**20])
    assert stored(s3) == (hashlib.sha256(large).hexdigest(), 3)
    assert output.listed("data") == [NAME]


def test_a_file_below_the_bound_travels_in_one_put(s3: str, large: bytes) -> None:
    Store(f"{s3}/run").write(NAME, large[:-2])
    assert stored(s3) == (hashlib.sha256(large[:-2]).hexdigest(), 1)


def test_a_large_table_is_read_back_by_pyarrow_row_group_by_row_group(s3: str) -> None:
    rng, output = np.random.default_rng(0), Store(f"{s3}/run")
    pictures = [rng.bytes(2**21) for _ in range(52)]
    table = pa.table({"pair_id": [f"{i:032x}" for i in range(52)], "image": pictures})
    with output.writing(NAME) as file, pq.ParquetWriter(file, table.schema) as writer:
        for start in range(0, len(pictures), 16):
            writer.write_table(table.slice(start, 16))
    assert stored(s3)[1] == 3
    fs, path = s3fs.S3FileSystem(), f"{s3}/run/{NAME}".removeprefix("s3://")
    assert pads.dataset(path, filesystem=fs, format="parquet").to_table() == table
    with fs.open(path) as file:
        parts = pq.ParquetFile(file)
        assert parts.num_row_groups == 4
        assert parts.read_row_group(3) == table.slice(48)


@pytest.mark.parametrize("how", ["503", "before", "after"])
def test_requests_that_fail_within_an_upload_are_retried(
    s3: str, proxy: Unreliable, large: bytes, how: str
) -> None:
    failed: list[str] = []

    def once_each(method: str, path: str) -> str | None:
        step = request(method, path)
        if not step or step in failed:
            return None
        failed.append(step)
        return how

    proxy.failure = once_each
    store(s3, proxy.address).write(NAME, large)
    assert failed == ["begin", "part", "complete"]
    assert stored(s3) == (hashlib.sha256(large).hexdigest(), 3)


def test_an_upload_that_the_server_dropped_restarts(
    s3: str, proxy: Unreliable, large: bytes
) -> None:
    steps: list[str] = []

    def give_up_the_first(method: str, path: str) -> None:
        step = request(method, path)
        if step == "complete" and step not in steps:
            bucket, upload = s3.removeprefix("s3://"), path.partition("uploadId=")[2]
            key = {"Bucket": bucket, "Key": f"run/{NAME}", "UploadId": upload}
            s3fs.S3FileSystem().call_s3("abort_multipart_upload", **key)
        steps.append(step)

    proxy.failure = give_up_the_first
    with store(s3, proxy.address).writing(NAME) as file:
        file.write(large)
    assert steps.count("begin") == 2
    assert stored(s3) == (hashlib.sha256(large).hexdigest(), 3)


def test_a_server_that_drops_every_upload_is_reported_instead_of_the_bucket(
    s3: str, proxy: Unreliable, large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(method: str, path: str) -> None:
        if request(method, path) == "complete":
            bucket, upload = s3.removeprefix("s3://"), path.partition("uploadId=")[2]
            key = {"Bucket": bucket, "Key": f"run/{NAME}", "UploadId": upload}
            with suppress(FileNotFoundError):  # given up already
                s3fs.S3FileSystem().call_s3("abort_multipart_upload", **key)

    proxy.failure = give_up
    monkeypatch.setattr("styleid_ray.storage.store._WRITE_ATTEMPTS", 2)
    with pytest.raises(OutputError, match="the store dropped the upload each time"):
        store(s3, proxy.address).write(NAME, large)


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_writer_killed_before_its_last_request_changes_nothing_that_is_seen(
    s3: str, proxy: Unreliable, before: bytes | None
) -> None:
    output, killed = Store(f"{s3}/run"), []
    if before:
        output.write(NAME, before)

    def kill(method: str, path: str) -> str | None:
        if request(method, path) != "complete":
            return None
        writer.kill()
        killed.append(path)
        return "before"

    proxy.failure = kill
    command = (sys.executable, "-c", _WRITE, f"{s3}/run", NAME, str(SIZE))
    writer = subprocess.Popen(command, env={**os.environ, "AWS_ENDPOINT_URL": proxy.address})
    assert writer.wait(timeout=60) < 0
    assert len(killed) == 1
    assert output.listed("data") == ([NAME] if before else [])
    if before:
        assert output.read(NAME) == before
    else:
        with pytest.raises(FileNotFoundError):
            output.read(NAME)
