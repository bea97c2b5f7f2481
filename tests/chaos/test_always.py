"""Processes that die each time, so that no retry helps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from tests.batch.conftest import job, pictures
from tests.batch.folder.test_resume import start

pytestmark = pytest.mark.cluster

__all__ = ["job", "pictures"]  # fixtures

# Known to every Python process that is started; Ray's workers alone die of it.
KILLED_AT = """
import os, signal, sys

def die_of(event, args):
    worker = "default_worker" in " ".join(getattr(sys, "argv", []))
    if event == "{event}" and worker and "{part}" in str(args[{argument}]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die_of)
"""


@pytest.mark.parametrize(
    ("dies_of", "reason"),
    [
        (
            {"event": "os.rename", "argument": 1, "part": "/data/shard-"},
            "ended the process of the commit stage 10 times",
        ),
        (
            {"event": "import", "argument": 0, "part": "batch.stages.device"},
            "an actor that starts ended its process 3 times",
        ),
    ],
    ids=["commit", "stylize"],
)
def test_a_process_that_always_dies_ends_the_job_with_a_line_that_says_so(
    job: Callable[..., JobConfig],
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_of: dict[str, str],
    reason: str,
) -> None:
    site = pictures / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(KILLED_AT.format(**dies_of))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    driver = start(job(shard_pairs=6), pictures / "out")
    lines = driver.communicate(timeout=300)[1].strip().splitlines()
    assert driver.returncode == 2, lines
    assert reason in lines[-1]
    assert "run the same command again to resume" in lines[-1]
    assert not list(pictures.glob("out/data/*"))

    monkeypatch.undo()
    driver = start(job(shard_pairs=6), pictures / "out")
    lines = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, lines
