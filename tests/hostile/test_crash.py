"""Pictures that kill the process which decodes them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.dataset as pads
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.isolated import Isolated, ProcessDiedError
from styleid_ray.batch.run import stylize
from tests.batch.conftest import draw

# A decoder that crashes, as native ones do, known to every Python process that is started.
CRASHING_DECODER = """
import os, signal
from PIL import Image

def accept(prefix):
    if prefix.startswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return False

Image.register_open("CRASH", lambda file, name: None, accept)
"""


@pytest.fixture
def crashing_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import ray

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASHING_DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("crashing_decoder")
def test_a_picture_that_kills_its_process_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        draw(tmp_path / "content" / f"{name}.png", seed)
    for name in ("b2.png", "d2.png"):
        (tmp_path / "content" / name).write_bytes(b"CRASH")
    draw(tmp_path / "style" / "s.png", 9)
    config = JobConfig(
        content=str(tmp_path / "content"),
        style=str(tmp_path / "style"),
        output=str(tmp_path / "out"),
        model="demo",
        size=64,
        steps=2,
    )
    summary = stylize(config, io.StringIO())
    assert (summary.done, summary.failed, summary.missing) == (4, 2, 0)
    errors = pads.dataset(tmp_path / "out" / "errors", format="parquet").to_table().to_pylist()
    assert sorted(row["content"] for row in errors) == ["b2.png", "d2.png"]
    for row in errors:
        assert (row["stage"], row["error"]) == ("decode", "ProcessDiedError")
        assert row["message"] == (
            f"content {row['content']}: reading it killed the process (SIGSEGV)"
        )


def _divide(one: int, other: int) -> float:
    if other < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return one / other


def test_a_call_that_kills_its_process_is_an_error_and_the_next_one_works() -> None:
    with Isolated(_divide) as divide:
        assert divide(6, 3) == 2
        with pytest.raises(ProcessDiedError, match="SIGKILL"):
            divide(1, -1)
        with pytest.raises(ZeroDivisionError):
            divide(1, 0)
        assert divide(1, 4) == 0.25


def test_the_child_ends_when_its_parent_is_killed() -> None:
    script = (
        "import os, signal\n"
        "from styleid_ray.batch.isolated import Isolated\n"
        "if __name__ == '__main__':\n"
        "    print(Isolated(os.getpid)(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(parent.stdout)).wait(timeout=60)
