"""Jobs on the job server of a real Ray head that asks for a token."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from styleid_ray import JobConfig
from styleid_ray.cli import main
from styleid_ray.submit import stylize_command
from tests.batch.conftest import draw

pytestmark = pytest.mark.cluster

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class JobServer:
    """Address of the job server, and the environment to use it."""

    address: str
    environment: dict[str, str]

    def start(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        """`styleid-ray submit` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "styleid_ray.cli", "submit", f"--address={self.address}", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, **environment},
            # As in a terminal; a test run in the background hands on that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *args: str, **environment: str) -> tuple[int, str, str]:
        """Exit status, output and messages of `styleid-ray submit`."""
        submitted = self.start(*args, **environment)
        out, err = submitted.communicate(timeout=300)
        return submitted.returncode, out, err


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def job_server() -> Iterator[JobServer]:
    # A short path: Ray's sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="head-", dir="/tmp") as folder:
        token = Path(folder, "token")
        token.write_text(secrets.token_hex(32))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
        }
        gcs, dashboard, client, agent, grpc, metrics = free_ports(6)
        head = subprocess.Popen(
            [
                *(BIN / "ray", "start", "--head", "--block", "--disable-usage-stats"),
                *("--node-ip-address=127.0.0.1", f"--port={gcs}", f"--temp-dir={folder}/ray"),
                *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
                *(f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"),
                *(f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={grpc}"),
                *("--num-cpus=4", "--object-store-memory=200000000"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        address = f"http://127.0.0.1:{dashboard}"
        try:
            wait_for_answer(head, f"{address}/api/version", token.read_text())
            yield JobServer(address, environment)
        finally:
            started = psutil.Process(head.pid).children(recursive=True)
            head.terminate()
            for left in psutil.wait_procs([psutil.Process(head.pid), *started], timeout=10)[1]:
                left.kill()
            head.wait()


def wait_for_answer(head: subprocess.Popen[bytes], url: str, token: str) -> None:
    deadline = time.monotonic() + 180
    while True:
        assert head.poll() is None, "the head ended"
        assert time.monotonic() < deadline, "no job server in three minutes"
        try:
            requests.get(
                url, headers={"Authorization": f"Bearer {token}"}, timeout=10
            ).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)


@pytest.fixture
def job_folder(tmp_path: Path) -> Path:
    """A folder to send, with a job file; the pictures lie outside of it."""
    for seed in range(4):
        draw(tmp_path / "content" / f"{seed}.png", seed)
        draw(tmp_path / "style" / f"{seed}.png", seed + 10)
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.yaml").write_text(
        f"content: {tmp_path}/content\nstyle: {tmp_path}/style\noutput: {tmp_path}/out\n"
        "model: demo\nsize: 64\nsteps: 2\nshard_pairs: 1\n"
    )
    return folder


def wait_for_shards(
    folder: Path, count: int, submitted: subprocess.Popen[str] | None = None
) -> None:
    """Until the run in a folder has committed that many shards."""
    deadline = time.monotonic() + 240
    while len(list(folder.glob("out/data/*.parquet"))) < count:
        assert submitted is None or submitted.poll() is None, submitted.communicate()
        assert time.monotonic() < deadline, "no shards in four minutes"
        time.sleep(0.05)


def test_a_job_that_is_stopped_resumes_when_it_is_submitted_again(
    job_server: JobServer, job_folder: Path, tmp_path: Path
) -> None:
    args = [f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}"]
    submitted = job_server.start(*args, "--steps=12")
    wait_for_shards(tmp_path, 2, submitted)
    submitted.send_signal(signal.SIGINT)
    out, err = submitted.communicate(timeout=120)
    assert submitted.returncode == 130, err
    assert "16 pairs of 4 contents and 4 styles" in out
    assert (
        "run the same command again to resume" in out
    )  # the driver's own words: it ended in good order
    assert "stopping the job" in err
    done = len(list(tmp_path.glob("out/data/*.parquet")))
    assert 2 <= done < 16

    status, out, err = job_server.run(*args, "--steps=12")
    assert status == 0, err
    assert f"resuming: {done} of 16 pairs are done already" in out
    assert main(["status", str(tmp_path / "out")]) == 0


def test_the_exit_status_of_the_job_comes_back_and_its_output_once(
    job_server: JobServer, job_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "content" / "0.png").write_bytes(b"no picture")
    status, out, err = job_server.run(
        f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}", "--shard-pairs=16"
    )
    assert status == 1, err
    assert "4 pairs failed" in out
    assert out.count("12 of 16 pairs done") == 1, "the end of the log came twice"


def test_a_job_can_be_submitted_without_waiting(
    job_server: JobServer, job_folder: Path, tmp_path: Path
) -> None:
    status, out, err = job_server.run(
        f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}", "--no-wait"
    )
    assert (status, out) == (0, "")
    assert "ray job logs --follow raysubmit_" in err
    wait_for_shards(tmp_path, 16)


def test_a_job_that_somebody_else_stops_ends_as_stopped(
    job_server: JobServer, job_folder: Path, tmp_path: Path
) -> None:
    submitted = job_server.start(
        f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}", "--steps=12"
    )
    assert submitted.stderr
    job = submitted.stderr.readline().split()[1]
    wait_for_shards(tmp_path, 1, submitted)
    subprocess.run(
        [BIN / "ray", "job", "stop", f"--address={job_server.address}", job],
        env=job_server.environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    _, err = submitted.communicate(timeout=120)
    assert submitted.returncode == 143
    assert "the job was stopped" in err


def test_a_wrong_or_missing_token_is_one_line_that_says_how_to_give_it(
    job_server: JobServer, job_folder: Path
) -> None:
    args = [f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}"]
    for environment in (
        {"RAY_AUTH_TOKEN": "wrong"},
        {"RAY_AUTH_MODE": "disabled"},
    ):
        status, out, err = job_server.run(*args, **environment)
        assert (status, out) == (2, "")
        assert "RAY_AUTH_TOKEN_PATH" in err
        assert err.count("\n") == 1, err


def test_a_deadline_keeps_its_time_zone_on_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        options = {"content": "/c", "style": "/s", "output": "/o"}
        for given, sent in (("2026-12-01T06:00", "2026-12-01T06:00:00-05:00"), ("6h", "6h")):
            config = JobConfig(**options, deadline=given)
            command = stylize_command(config, None, {"deadline": given}, ".")
            assert command[-1] == f"--deadline={sent}"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--address=127.0.0.1:8265"], "--address"),
        (["--address=http://127.0.0.1:1"], "no job server at"),
        (["--output=out/run"], "--output out/run is relative"),
        (["--gamma=2"], "--gamma"),
        (["--working-dir=/no/such/folder"], "lies outside"),
    ],
)
def test_a_job_that_cannot_work_is_one_line_and_is_not_sent(
    job_folder: Path,
    args: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    given = {"--config": f"{job_folder}/job.yaml", "--working-dir": f"{job_folder}"}
    given |= dict(arg.split("=") for arg in args)
    assert main(["submit", *(f"{name}={value}" for name, value in given.items())]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
