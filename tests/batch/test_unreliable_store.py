"""Object stores and disks as they are: busy, cut off, full; and two drivers at once."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.dataset as pads
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.verify import verify
from styleid_ray.batch.run import stylize
from styleid_ray.errors import JobError, OutputError
from tests.batch.folder.test_resume import start
from tests.unreliable import unreliable

Job = Callable[..., JobConfig]


@pytest.mark.cluster
def test_a_store_that_fails_every_tenth_request_delays_a_run_and_costs_no_pair(
    s3: str, s3_endpoint: str, job: Job, pictures: Path, local_ray: None
) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.put(str(pictures / "content"), f"{s3}/in/content", recursive=True)
    fs.put(str(pictures / "style"), f"{s3}/in/style", recursive=True)
    credentials = {
        "key": os.environ["AWS_ACCESS_KEY_ID"],
        "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    with unreliable(s3_endpoint, share=0.1, seed=1) as proxy:
        config = job(
            content=f"{s3}/in/content",
            style=f"{s3}/in/style",
            output=f"{s3}/run",
            format="files",
            shard_pairs=1,
            storage_options={**credentials, "endpoint_url": proxy.address},
        )
        summary = stylize(config, io.StringIO())
        found = verify(Output(config.output, config.storage_options))
    assert (summary.done, summary.failed) == (6, 0)
    assert (found.done, found.exit_status) == (6, 0)
    assert proxy.counts["slow down"]
    assert proxy.counts["dropped"]


@pytest.mark.cluster
def test_two_drivers_of_one_job_at_once_make_every_pair_once(job: Job, pictures: Path) -> None:
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    output, config = pictures / "out", job(shard_pairs=2)
    drivers = [start(config, output) for _ in range(2)]
    for driver in drivers:
        said = driver.communicate(timeout=300)[1]
        assert driver.returncode == 1, said
    found = verify(Output(str(output)))
    assert (found.done, found.findings["failed"], found.sound) == (6, 2, True)
    ids = pads.dataset(output / "data", format="parquet").to_table()["pair_id"].to_pylist()
    assert len(set(ids)) == len(ids) == 6


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://no-such-bucket/run", "there is no bucket or container no-such-bucket"),
        ("/proc/run", "cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_ray_starts(
    s3: str, job: Job, output: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda *_, **__: pytest.fail("Ray was started"))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(OutputError, match=message):
        stylize(job(output=output), io.StringIO())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a tmpfs: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.cluster
def test_a_full_disk_stops_the_job_with_one_line_and_with_room_it_resumes(
    job: Job, small_disk: Path, local_ray: None
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20 - 40 * 2**10))
    config = job(output=str(small_disk / "out"), shard_pairs=1)
    with pytest.raises(JobError, match=r"cannot be written .*No space left.*make room") as stopped:
        stylize(config, io.StringIO())
    assert "\n" not in str(stopped.value)
    assert "\\n" not in str(stopped.value), "a newline of Ray's, escaped"
    assert str(stopped.value).startswith("the job stopped: "), "it did not stop in Ray's work"
    assert "Failed to apply" not in str(stopped.value)
    output = Output(config.output)
    assert not list(small_disk.glob("out/_run/tmp/*")), "a half-written file was left"
    if output.record():
        assert verify(output).sound

    ballast.unlink()
    assert stylize(config, io.StringIO()).exit_status == 0
    assert verify(output).exit_status == 0
