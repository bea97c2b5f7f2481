"""The batch script for Slurm: with stand-ins for Slurm's commands, and on a Slurm of two nodes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from styleid_ray import cli
from tests.batch.conftest import draw
from tests.deploy.slurm_nodes import Slurm, slurm, why_no_slurm
from tests.hosts.network import wait_for

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm" / "styleid_ray.sbatch"

Batch = Callable[..., subprocess.Popen[str]]
# srun and `ray symmetric-run` run a command; the driver does what $DRIVER says.
STAND_INS = {
    "srun": 'while [[ "$1" = --* ]]; do shift; done; SLURM_PROCID=0 exec "$@"',
    "ray": 'eval "$RAY"; until [ "$1" = -- ]; do shift; done; shift; exec "$@"',
    "styleid-ray": 'trap "exit 143" TERM; eval "$DRIVER"',
    "scontrol": 'echo "$@"',
}
RUNS_ON = 'touch "$STARTED"; while true; do sleep 0.02; done'


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    """The script as Slurm starts it on one node; its driver is a line of shell."""
    for name, line in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    started: list[subprocess.Popen[str]] = []

    def start(driver: str, **environment: str) -> subprocess.Popen[str]:
        own = {
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": "1",
            "DRIVER": driver,
            "RAY": "",
            "TMPDIR": str(tmp_path),
        }
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STARTED": str(tmp_path / "started")}
        process = subprocess.Popen(
            ["bash", str(SCRIPT), "--model", "demo"],
            env={**os.environ, **own, **path, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        begun = (tmp_path / "started").exists
        wait_for("the driver", lambda: begun() or process.poll() is not None, 30)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_run_that_ends_by_itself_is_not_queued_again(batch: Batch, status: int) -> None:
    process = batch(f"exit {status}")
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == status
    assert "requeue" not in printed


def test_the_signal_before_the_time_limit_stops_the_run_and_queues_it_again(batch: Batch) -> None:
    process = batch(RUNS_ON)
    process.send_signal(signal.SIGUSR1)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert printed.endswith("queued again to resume\nrequeue 7\n")


@pytest.mark.parametrize("status", [0, 2])
def test_a_run_that_finishes_or_fails_at_the_time_limit_is_not_queued_again(
    batch: Batch, status: int
) -> None:
    process = batch(f"trap 'exit {status}' TERM; {RUNS_ON}")
    process.send_signal(signal.SIGUSR1)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == status
    assert "requeue" not in printed


def test_a_cancelled_run_is_stopped_in_good_order_and_not_queued_again(batch: Batch) -> None:
    process = batch(RUNS_ON)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "requeue" not in printed


def test_a_job_whose_ray_does_not_start_fails(batch: Batch) -> None:
    process = batch("", RAY="exit 0")
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "Ray did not start" in printed


def test_a_run_is_not_queued_again_forever(batch: Batch) -> None:
    process = batch(RUNS_ON, SLURM_RESTART_COUNT="3", STYLEID_RAY_RESTARTS="3")
    process.send_signal(signal.SIGUSR1)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "not queued again after 3 restarts" in printed


ENDED = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"}


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm of two nodes."""
    if reason := why_no_slurm():
        pytest.skip(reason)
    with slurm(tmp_path_factory.mktemp("slurm"), nodes=2) as made:
        yield made


@pytest.mark.slurm
def test_a_run_on_two_nodes_is_stopped_queued_again_and_finished(
    two_nodes: Slurm, tmp_path: Path
) -> None:
    for seed in range(6):
        draw(tmp_path / "content" / f"{seed}.png", seed)
    for seed in range(6, 8):
        draw(tmp_path / "style" / f"{seed}.png", seed)
    output, log = tmp_path / "out", tmp_path / "job.log"
    job = two_nodes(
        *("sbatch", "--parsable", "--nodes=2", f"--output={log}", SCRIPT),
        *("--content", tmp_path / "content", "--style", tmp_path / "style", "--output", output),
        *("--model", "demo", "--size", 64, "--shard-pairs", 1, "--device", "cpu", "--actors", 2),
    )
    wait_for("a shard", lambda: list(output.glob("data/*.parquet")), 600)
    two_nodes("scancel", "--batch", "--signal=USR1", job)
    wait_for("the end", lambda: two_nodes.job(job)["JobState"] in ENDED, 600)
    printed = log.read_text()
    assert two_nodes.job(job)["JobState"] == "COMPLETED", printed
    assert two_nodes.job(job)["Restarts"] == "1", printed
    assert printed.count("2 actors, on CPU") == 2
    assert "resuming: " in printed
    assert cli.main(["verify", str(output)]) == 0


@pytest.mark.slurm
def test_a_job_that_cannot_run_fails_and_is_not_queued_again(
    two_nodes: Slurm, tmp_path: Path
) -> None:
    log = tmp_path / "job.log"
    job = two_nodes(
        *("sbatch", "--parsable", f"--output={log}", SCRIPT, "--model", "demo"),
        *("--content", tmp_path, "--style", tmp_path, "--output", tmp_path / "out"),
    )
    wait_for("the end", lambda: two_nodes.job(job)["JobState"] in ENDED, 120)
    facts = two_nodes.job(job)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("FAILED", "2:0", "0")
