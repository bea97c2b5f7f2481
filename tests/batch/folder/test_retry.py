"""Failed pairs are tried again, and a job in which too much fails is stopped."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pytest
import yaml

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.status import read_status
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.folder.verify import verify
from styleid_ray.batch.run import retry, stylize
from styleid_ray.cli import main
from styleid_ray.errors import ConfigError, JobError, OutputError
from tests.batch.conftest import draw

pytestmark = pytest.mark.usefixtures("local_ray")
Job = Callable[..., JobConfig]


def rows(output: Path, kind: str) -> pa.Table:
    return pads.dataset(output / kind, format="parquet").to_table()


def ids(output: Path, kind: str) -> list[str]:
    found = rows(output, kind)["pair_id"].to_pylist() if any((output / kind).iterdir()) else []
    assert len(set(found)) == len(found), f"a pair is twice in {kind}/"
    return found


def test_a_retry_makes_only_failed_pairs(quick_job: Job, pictures: Path) -> None:
    broken, gone = pictures / "content" / "broken.png", pictures / "content" / "gone.png"
    for path in (broken, gone):
        path.write_bytes(b"not a picture")
    out = pictures / "out"
    assert stylize(quick_job(), io.StringIO()).failed == 4
    files = sorted((out / "data").iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}

    # Nothing has changed: it fails again, and no row of errors/ is doubled.
    assert retry(stored_job(str(out), {}), io.StringIO()).exit_status == 1
    assert (len(ids(out, "data")), len(ids(out, "errors"))) == (6, 4)

    assert {path: path.stat().st_mtime_ns for path in files} == before

    draw(broken, 7)
    (pictures / "content" / "new.png").write_bytes(b"none of the run's pictures")
    said = io.StringIO()
    summary = retry(stored_job(str(out), {}), said)
    assert "retrying 4 pairs that failed" in said.getvalue()
    assert (summary.planned, summary.done, summary.failed, summary.missing) == (10, 8, 2, 0)
    assert sorted((out / "data").iterdir()) == files
    assert (len(ids(out, "data")), len(ids(out, "errors"))) == (8, 2)
    assert set(rows(out, "errors")["content"].to_pylist()) == {"gone.png"}
    found = verify(Output(str(out)))
    assert (found.sound, found.findings["failed"], found.exit_status) == (True, 2, 1)

    draw(gone, 8)
    assert main(["retry", str(out), "--actors", "1"]) == 0
    assert (len(ids(out, "data")), len(ids(out, "errors"))) == (10, 0)
    assert verify(Output(str(out))).exit_status == 0
    said = io.StringIO()
    assert retry(stored_job(str(out), {}), said).exit_status == 0
    assert "nothing to retry" in said.getvalue()


@pytest.mark.cluster
def test_a_retry_leaves_missing_pairs_to_the_original_command(
    quick_job: Job, pictures: Path
) -> None:
    broken = pictures / "content" / "broken.png"
    broken.write_bytes(b"not a picture")
    out = pictures / "out"
    stylize(quick_job(), io.StringIO())
    # A shard without failures gets lost.
    errors = {path.name for path in (out / "errors").iterdir()}
    lost = next(p for p in sorted((out / "data").iterdir()) if p.name not in errors)
    missing = len(pads.dataset(lost, format="parquet").to_table())
    lost.unlink()
    draw(broken, 7)
    summary = retry(stored_job(str(out), {}), io.StringIO())
    assert (summary.failed, summary.missing) == (0, missing)
    assert not lost.exists()
    assert stylize(quick_job(), io.StringIO()).exit_status == 0
    assert verify(Output(str(out))).exit_status == 0


def test_moved_sources_are_accepted_and_other_pictures_are_refused(
    quick_job: Job, pictures: Path
) -> None:
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    stylize(quick_job(), io.StringIO())
    moved = shutil.move(pictures / "content", pictures / "moved")
    draw(Path(moved) / "broken.png", 7)
    config = stored_job(str(pictures / "out"), {"content": str(moved)})
    assert retry(config, io.StringIO()).exit_status == 0
    with pytest.raises(OutputError, match="size"):
        retry(config.model_copy(update={"size": 128}), io.StringIO())


def test_a_retry_needs_a_run_and_the_secrets_that_were_not_stored(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no run at"):
        stored_job(str(tmp_path), {})
    (tmp_path / "_run").mkdir()
    config = {"content": "https://host/a.png?...", "style": "s", "output": "o"}
    record = {"layout": 3, "config": config, "model": {"revision": None}}
    record |= {"identity": {}, "plan": {}}
    (tmp_path / "_run" / "config.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(ConfigError, match="give --content again"):
        stored_job(str(tmp_path), {})
    assert stored_job(str(tmp_path), {"content": "/c"}).content == "/c"


@pytest.mark.cluster
@pytest.mark.parametrize("limit", ["2", "10%"])
def test_a_job_with_too_many_failures_stops_and_resumes_with_a_higher_bound(
    quick_job: Job, pictures: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.batch.folder.failures._ENOUGH", 2)
    for n in range(9):
        (pictures / "content" / f"0-broken-{n}.png").write_bytes(b"not a picture")
    with pytest.raises(
        JobError, match=f"more than --max-failures {limit}; most often \\d+ pairs?: decode failed"
    ):
        stylize(quick_job(max_failures=limit), io.StringIO())
    status = read_status(Output(str(pictures / "out")))
    assert 0 < status.failed < 18
    assert status.missing > 0
    with pytest.raises(JobError, match="more than --max-failures"):
        stylize(quick_job(max_failures=limit), io.StringIO())
    summary = stylize(quick_job(max_failures="100%"), io.StringIO())
    assert (summary.done, summary.failed, summary.exit_status) == (6, 18, 1)
    assert verify(Output(str(pictures / "out"))).sound
