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

from styleid_ray.cli import main
from tests.batch.conftest import draw

pytestmark = pytest.mark.cluster

ROOT, BIN = Path(__file__).parent.parent, Path(sys.executable).parent


@dataclass(frozen=True)
class JobServer:
    """Where the job server is, and the environment of those that may use it."""

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


def test_a_job_that_is_stopped_goes_on_when_it_is_submitted_again(
    job_server: JobServer, job_folder: Path, tmp_path: Path
) -> None:
    args = [f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}"]
    submitted = job_server.start(*args, "--steps=12")
    deadline = time.monotonic() + 240
    while len(list(tmp_path.glob("out/data/*.parquet"))) < 2:
        assert submitted.poll() is None, submitted.communicate()
        assert time.monotonic() < deadline, "no shards in four minutes"
        time.sleep(0.05)
    submitted.send_signal(signal.SIGINT)
    out, err = submitted.communicate(timeout=120)
    assert submitted.returncode == 130, err
    assert "16 pairs of 4 contents and 4 styles" in out
    assert "the same command goes on" in out  # the driver's own words: it ended in good order
    assert "stopping the job" in err
    done = len(list(tmp_path.glob("out/data/*.parquet")))
    assert 2 <= done < 16

    status, out, err = job_server.run(*args, "--steps=12")
    assert status == 0, err
    assert f"resuming: {done} of 16 pairs are done already" in out
    assert main(["status", str(tmp_path / "out")]) == 0


def test_the_exit_status_of_a_script_of_this_checkout_comes_back(
    job_server: JobServer, job_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "content" / "0.png").write_bytes(b"no picture")
    status, out, err = job_server.run(
        f"--working-dir={ROOT}",
        *("--", "jobs/stylize.py", f"--config={job_folder}/job.yaml", "--shard-pairs=16"),
    )
    assert status == 1, err
    assert "4 pairs failed" in out
    assert out.count("12 of 16 pairs done") == 1, "the end of the log came twice"


def test_a_script_gets_its_arguments_and_the_files_that_git_would_take(
    job_server: JobServer, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("out/\n*.key\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / ".gitignore").write_text("scratch*\n")
    for name in ("a.txt", "b.key", "jobs/scratch.py", "jobs/c.key"):
        (tmp_path / name).write_text("")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "picture.png").write_text("")
    (tmp_path / "jobs" / "say.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        "print('given', *sys.argv[1:])\n"
        "print('sent', *sorted(str(p) for p in Path().rglob('*') if p.is_file()))\n"
        "sys.exit(3)\n"
    )
    taken = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    status, out, err = job_server.run(
        f"--working-dir={tmp_path}", "--", "jobs/say.py", "--only", "a b", "--gpu.batches=8"
    )
    assert status == 3, err
    assert "given --only a b --gpu.batches=8" in out
    assert f"sent {' '.join(sorted(taken))}" in out


def test_a_job_can_be_left_to_itself(job_server: JobServer, tmp_path: Path) -> None:
    (tmp_path / "write.py").write_text("import sys\nopen(sys.argv[1], 'w').close()\n")
    written = tmp_path / "written"
    status, out, err = job_server.run(
        f"--working-dir={tmp_path}", "--no-wait", "--", "write.py", str(written)
    )
    assert (status, out) == (0, "")
    assert "ray job logs --follow raysubmit_" in err
    deadline = time.monotonic() + 120
    while not written.exists():
        assert time.monotonic() < deadline, "the job did not run in two minutes"
        time.sleep(0.1)


def test_a_job_that_somebody_else_stops_ends_as_stopped(
    job_server: JobServer, tmp_path: Path
) -> None:
    (tmp_path / "wait.py").write_text("import signal\nprint('begun')\nsignal.pause()\n")
    submitted = job_server.start(f"--working-dir={tmp_path}", "--", "wait.py")
    assert submitted.stdout
    assert submitted.stderr
    job = submitted.stderr.readline().split()[1]
    while "begun" not in submitted.stdout.readline():
        assert submitted.poll() is None, submitted.stderr.read()
    subprocess.run(
        [BIN / "ray", "job", "stop", f"--address={job_server.address}", job],
        env=job_server.environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    _, err = submitted.communicate(timeout=120)
    assert submitted.returncode == 143
    assert "the job was stopped" in err


def test_a_wrong_token_and_none_are_one_line_that_says_how_to_give_it(
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


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--address=127.0.0.1:8265"], "--address"),
        (["--address=http://127.0.0.1:1"], "no job server at"),
        (["--output=out/run"], "--output out/run is relative"),
        (["--gamma=2"], "--gamma"),
        (["--working-dir=/no/such/folder"], "lies outside"),
        (["--", "jobs/none.py"], "options of stylize do not go with jobs/none.py"),
    ],
)
def test_what_cannot_work_is_one_line_and_nothing_is_sent(
    job_folder: Path,
    args: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    given = [f"--config={job_folder}/job.yaml", f"--working-dir={job_folder}"]
    assert main(["submit", *given, *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_script_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", f"--working-dir={tmp_path}", "--", "none.py"]) == 2
    assert "none.py is no file of --working-dir" in capsys.readouterr().err
