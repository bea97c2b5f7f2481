"""A job whose pictures and output lie in an object store, over real HTTP."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.output import Output
from styleid_ray.batch.run import stylize
from styleid_ray.batch.status import read_status


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of an S3 server on loopback."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_job_reads_from_and_writes_to_s3_and_resumes_there(
    bucket: str, job: Callable[..., JobConfig], pictures: Path
) -> None:
    import ray
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.put(str(pictures / "content"), "bucket/in/content", recursive=True)
    fs.put(str(pictures / "style"), "bucket/in/style", recursive=True)
    config = job(
        content=f"{bucket}/in/content", style=f"{bucket}/in/style", output=f"{bucket}/runs/one"
    )
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        summary = stylize(config, io.StringIO())
    finally:
        ray.shutdown()
    assert (summary.done, summary.failed) == (6, 0)
    assert read_status(Output(config.output)).missing == 0
    assert len(fs.ls("bucket/runs/one/data")) == 4
    assert not fs.exists("bucket/runs/one/_run/tmp")
    said = io.StringIO()
    stylize(config, said)
    assert "nothing to do" in said.getvalue()
