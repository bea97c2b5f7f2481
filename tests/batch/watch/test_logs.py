"""The logs of a job's workers."""

from __future__ import annotations

import io
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.run import stylize
from styleid_ray.batch.stages.shard import Shard
from styleid_ray.batch.watch.logs import StageLog

Job = Callable[..., JobConfig]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log folder of a Ray that a job starts; its sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield Path(folder, "ray", "session_latest", "logs")
    shutil.rmtree(folder)


def lines_in(logs: Path) -> list[dict[str, Any]]:
    found = [line for path in logs.glob("worker-*.err") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in found if line.startswith("{")]


@pytest.mark.cluster
def test_each_stage_logs_its_work_per_shard_and_the_screen_is_unchanged(
    job: Job, pictures: Path, logs: Path
) -> None:
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    before, messages = logging.getLogger().handlers[:], io.StringIO()
    config = job()
    summary = stylize(config, messages)
    assert (summary.done, summary.failed) == (6, 2)
    assert logging.getLogger().handlers == before
    assert "{" not in messages.getvalue()

    lines = [line for line in lines_in(logs) if "run" in line]  # Ray has some of its own
    done = [line for line in lines if line["levelname"] == "INFO"]
    assert {line["run"] for line in done} == {config.output}
    shards = {path.stem for path in (pictures / "out" / "data").iterdir()}
    shards |= {path.stem for path in (pictures / "out" / "errors").iterdir()}
    for stage in ("load", "stylize", "commit"):
        of_stage = [line for line in done if line["stage"] == stage]
        assert {line["shard"] for line in of_stage} == shards
        assert sum(line["pairs"] for line in of_stage) == 8
        assert all(line["seconds"] >= 0 and line["node_id"] for line in of_stage)
    actors = {line.get("actor_id") for line in done if line["stage"] == "stylize"}
    assert None not in actors
    evaluations = sum(line.get("unet_evaluations", 0) for line in done)
    assert evaluations == summary.session["unet_evaluations"]

    failed = [line for line in lines if line["levelname"] == "WARNING"]
    assert {line["failed_in"] for line in failed} == {"decode"}
    assert sum(line["pairs"] for line in failed) == 2
    assert all("broken.png" in line["message"] for line in failed)


@pytest.mark.cluster
def test_an_interrupted_shard_logs_the_reason_without_secrets(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    config = job(storage_options={"s3": {"secret": "5ecret-3"}})
    shard = Shard("shard-1", pa.table({"pair_id": ["1", "2"]}))

    def work(shard: Shard) -> Shard:
        raise OSError("https://me:pa55word@host/a.png?X-Amz-Signature=51gn: 5ecret-3\nmore")

    with pytest.raises(OSError, match="pa55word"):
        StageLog("load", config).of(work)(shard)
    (record,) = caplog.records
    assert record.getMessage() == "https://...@host/a.png?... ..."
    facts = {name: getattr(record, name) for name in ("stage", "shard", "pairs", "error")}
    assert facts == {"stage": "load", "shard": "shard-1", "pairs": 2, "error": "OSError"}
    assert record.levelno == logging.ERROR
