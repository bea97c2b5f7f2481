"""A job whose pictures and output lie in an object store, over real HTTP."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.status import read_status
from styleid_ray.batch.run import stylize


def test_a_job_reads_from_and_writes_to_s3_and_resumes_there(
    s3: str, job: Callable[..., JobConfig], pictures: Path
) -> None:
    import ray
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.put(str(pictures / "content"), f"{s3}/in/content", recursive=True)
    fs.put(str(pictures / "style"), f"{s3}/in/style", recursive=True)
    config = job(content=f"{s3}/in/content", style=f"{s3}/in/style", output=f"{s3}/runs/one")
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        summary = stylize(config, io.StringIO())
    finally:
        ray.shutdown()
    assert (summary.done, summary.failed) == (6, 0)
    assert read_status(Output(config.output)).missing == 0
    assert len(fs.ls(f"{s3}/runs/one/data")) == 3
    assert not fs.exists(f"{s3}/runs/one/_run/tmp")
    said = io.StringIO()
    stylize(config, said)
    assert "nothing to do" in said.getvalue()
