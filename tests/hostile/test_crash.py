"""Pictures that kill the process which decodes them, or never let it go."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.dataset as pads
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.run import stylize
from styleid_ray.batch.stages.isolated import Isolated, ProcessDiedError
from tests.batch.conftest import draw

# A decoder that crashes or hangs with Python's lock in its hands, as native ones do, known to every
# Python process that is started.
BAD_DECODER = """
import ctypes, os, signal
from PIL import Image

def accept(prefix):
    if prefix.startswith(b"CRASH"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if prefix.startswith(b"STOP"):
        os.kill(os.getpid(), signal.SIGTERM)
    if prefix.startswith(b"HANG"):
        ctypes.PyDLL(None).sleep(10**6)
    return False

Image.register_open("CRASH", lambda file, name: None, accept)
"""


@pytest.fixture
def bad_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import ray

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BAD_DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def small_job(folder: Path) -> JobConfig:
    return JobConfig(
        content=str(folder / "content"),
        style=str(folder / "style"),
        output=str(folder / "out"),
        model="demo",
        size=64,
        steps=2,
    )


@pytest.mark.usefixtures("bad_decoder")
def test_a_picture_that_kills_its_process_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    for seed, name in enumerate("abcd"):
        draw(tmp_path / "content" / f"{name}.png", seed)
    for name in ("b2.png", "d2.png"):
        (tmp_path / "content" / name).write_bytes(b"CRASH")
    draw(tmp_path / "style" / "s.png", 9)
    summary = stylize(small_job(tmp_path), io.StringIO())
    assert (summary.done, summary.failed, summary.missing) == (4, 2, 0)
    errors = pads.dataset(tmp_path / "out" / "errors", format="parquet").to_table().to_pylist()
    assert sorted(row["content"] for row in errors) == ["b2.png", "d2.png"]
    for row in errors:
        assert (row["stage"], row["error"]) == ("decode", "ProcessDiedError")
        assert row["message"] == (
            f"content {row['content']}: reading it killed the process (SIGSEGV)"
        )


@pytest.mark.cluster
@pytest.mark.usefixtures("bad_decoder")
def test_a_picture_that_is_never_read_to_its_end_is_named_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.batch.stages.load._PATIENCE", 6.0)
    draw(tmp_path / "content" / "a.png", 1)
    (tmp_path / "content" / "b.png").write_bytes(b"HANG")
    draw(tmp_path / "style" / "s.png", 9)
    summary = stylize(small_job(tmp_path), io.StringIO())
    assert (summary.done, summary.failed, summary.missing) == (1, 1, 0)
    (row,) = pads.dataset(tmp_path / "out" / "errors", format="parquet").to_table().to_pylist()
    assert row["message"] == "content b.png: reading it took longer than 6 seconds"


def _divide(one: int, other: int) -> float:
    if other < 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    return one / other


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed_once(marker: str) -> str:
    if not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def test_a_call_that_kills_its_process_is_an_error_and_the_next_one_works() -> None:
    with Isolated(1, seconds=60) as isolated:
        assert isolated(_divide, 6, 3) == 2
        with pytest.raises(ProcessDiedError, match="SIGSEGV"):
            isolated(_divide, 1, -1)
        with pytest.raises(ZeroDivisionError):
            isolated(_divide, 1, 0)
        assert isolated(_divide, 1, 4) == 0.25


def test_calls_that_kill_their_processes_at_once_are_all_errors() -> None:
    with Isolated(2, seconds=60) as isolated, ThreadPoolExecutor(4) as threads:

        def ending(number: int) -> str:
            try:
                return str(isolated(_divide, number, -1 if number % 2 else 1))
            except ProcessDiedError as e:
                return str(e)

        endings = list(threads.map(ending, range(40)))
    died = "killed the process (SIGSEGV)"
    assert endings == [died if number % 2 else f"{number:.1f}" for number in range(40)]


def test_a_call_whose_process_the_kernel_kills_is_made_once_more(tmp_path: Path) -> None:
    with Isolated(1, seconds=60) as isolated:
        assert isolated(_killed_once, str(tmp_path / "killed")) == "done"
        with pytest.raises(ProcessDiedError, match="SIGKILL"):
            isolated(_kill)


def test_a_call_that_takes_too_long_is_an_error_and_the_next_one_works() -> None:
    with Isolated(1, seconds=0.5) as isolated:
        with pytest.raises(ProcessDiedError, match=r"took longer than 0\.5 seconds"):
            isolated(time.sleep, 3600)
        assert isolated(time.sleep, 0) is None


def test_the_child_ends_when_its_parent_is_killed() -> None:
    script = (
        "import os, signal\n"
        "from styleid_ray.batch.stages.isolated import Isolated\n"
        "if __name__ == '__main__':\n"
        "    print(Isolated(1, 60)(os.getpid), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(parent.stdout)).wait(timeout=60)
