"""Drivers that are stopped in the middle, as a person or a machine stops them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.run import stylize
from tests.batch.conftest import draw, pictures_of, same_pictures


def start(config: JobConfig, output: Path) -> subprocess.Popen[str]:
    options = config.model_dump(mode="json", exclude_defaults=True, exclude={"output", "actors"})
    args = [
        f"--{'' if value is not False else 'no-'}{name.replace('_', '-')}"
        + ("" if isinstance(value, bool) else f"={value}")
        for name, value in options.items()
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "styleid_ray.cli", "stylize", *args, f"--output={output}"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_ADDRESS": ""},
        # As in a terminal; a test run in the background hands on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def stop_after_shards(driver: subprocess.Popen[str], output: Path, shards: int, how: int) -> str:
    """Stops the driver after a number of committed shards; returns its output."""
    deadline = time.monotonic() + 120
    while len(list(output.glob("data/*.parquet"))) < shards:
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < deadline, "no shard in two minutes"
        time.sleep(0.02)
    driver.send_signal(how)
    return driver.communicate(timeout=60)[1]


@pytest.mark.cluster
def test_resume_after_kills_neither_loses_nor_repeats_a_pair(
    job: Callable[..., JobConfig], pictures: Path
) -> None:
    for seed in range(6, 12):
        draw(pictures / "content" / f"{seed}.png", seed)
    # One pair a shard and slow enough steps, so that there is a middle to be stopped in.
    config = job(shard_pairs=1, steps=12)
    undisturbed, disturbed = pictures / "undisturbed", pictures / "disturbed"
    driver = start(config, undisturbed)
    said = driver.communicate(timeout=180)[1]
    assert driver.returncode == 0, said

    for shards, how, status in (
        (2, signal.SIGKILL, -9),
        (5, signal.SIGTERM, 143),
        (8, signal.SIGINT, 130),
    ):
        driver = start(config, disturbed)
        said = stop_after_shards(driver, disturbed, shards, how)
        assert driver.returncode == status, said
        assert len(pictures_of(disturbed)) < 18
    assert "run the same command again to resume" in said

    driver = start(config, disturbed)
    said = driver.communicate(timeout=180)[1]
    assert driver.returncode == 0, said
    assert "resuming" in said
    same_pictures(pictures_of(disturbed), pictures_of(undisturbed))
    assert not list(disturbed.glob("_run/tmp/*")), "a half-written file was left"


@pytest.mark.cluster
def test_a_stop_in_a_job_that_would_fit_one_shard_keeps_some_of_its_pairs(
    job: Callable[..., JobConfig], pictures: Path
) -> None:
    for seed in range(6, 9):
        draw(pictures / "content" / f"{seed}.png", seed)
    config, out = job(shard_pairs=200, steps=50, size=128), pictures / "out"
    driver = start(config, out)
    stop_after_shards(driver, out, 1, signal.SIGINT)
    assert 0 < len(pictures_of(out)) < 12


@pytest.mark.usefixtures("local_ray")
def test_missing_pairs_are_made_in_the_runs_own_shards_whatever_shards_and_actors_are_given(
    quick_job: Callable[..., JobConfig], pictures: Path
) -> None:
    stylize(quick_job(shard_pairs=2), io.StringIO())
    whole, shards = pictures_of(pictures / "out"), sorted(pictures.glob("out/data/*.parquet"))
    shards[0].unlink()
    said = io.StringIO()
    assert stylize(quick_job(shard_pairs=200, actors=2), said).exit_status == 0
    assert "resuming: 4 of 6 pairs are done already, 2 to do" in said.getvalue()
    assert sorted(pictures.glob("out/data/*.parquet")) == shards
    same_pictures(pictures_of(pictures / "out"), whole)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense://127.0.0.1"])
def test_an_unreachable_cluster_is_one_clear_line(
    job: Callable[..., JobConfig], pictures: Path, address: str
) -> None:
    driver = start(job(address=address), pictures / "out")
    said = driver.communicate(timeout=120)[1]
    assert driver.returncode == 2
    assert "check --address" in said
    assert "Traceback" not in said
