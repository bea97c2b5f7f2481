"""Whole jobs on hosts with addresses of their own, while some of them are lost."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.run import stylize
from tests.batch.conftest import draw, pictures_of, same_pictures
from tests.hosts.cluster import Hosts, Job, has_actor, is_busy
from tests.hosts.network import network, wait_for, why_not

pytestmark = pytest.mark.hosts

CONTENTS, STYLES = 12, 8
# GPUs are counted only, so that each host has one actor.
OPTIONS = {
    "model": "demo",
    "size": 64,
    "fit": "crop",
    "steps": 10,
    "device": "cpu",
    "num_gpus_per_actor": 1,
}


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with content/ and style/."""
    folder = tmp_path_factory.mktemp("sources")
    for seed in range(CONTENTS):
        draw(folder / "content" / f"{seed}.png", seed)
    for seed in range(STYLES):
        draw(folder / "style" / f"{seed}.png", 100 + seed)
    return folder


@pytest.fixture(scope="module")
def expected(sources: Path) -> dict[str, np.ndarray]:
    """The pictures of an undisturbed run on this machine alone, by pair."""
    config = JobConfig(
        content=str(sources / "content"),
        style=str(sources / "style"),
        output=str(sources / "out"),
        **OPTIONS | {"num_gpus_per_actor": 0},
    )
    assert stylize(config, io.StringIO()).done == CONTENTS * STYLES
    return pictures_of(sources / "out")


@pytest.fixture(scope="module")
def hosts(sources: Path, expected: dict[str, np.ndarray]) -> Iterator[Hosts]:
    """They start when the undisturbed run is over, which would share a small machine's cores."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    # A short path: Ray's sockets lie below it.
    with (
        tempfile.TemporaryDirectory(prefix="hosts-", dir="/tmp") as folder,
        network(Path(folder), environment) as made,
    ):
        yield Hosts(made, sources, workers=3)


def test_a_job_goes_on_when_one_host_is_cut_off_and_another_dies(
    hosts: Hosts, expected: dict[str, np.ndarray]
) -> None:
    cut, killed, _ = hosts.workers
    job = Job(hosts, "lost", **OPTIONS, actors=3, shard_pairs=2)
    job.wait_for_shards(2)

    job.wait_for("pictures made on the first host", lambda: is_busy(cut))
    cut.unplug()
    late = hosts.add_worker()
    job.wait_for_shards(2)  # made by the others

    job.wait_for("pictures made on the second host", lambda: is_busy(killed))
    killed.kill()
    job.wait_for("an actor of a lost host on one that came later", lambda: has_actor(late))
    assert job.end() == 0, job.said

    cut.plug_in()  # what it has begun with comes late, if at all
    wait_for("the end of Ray on the host that was given up", lambda: cut.idle)
    same_pictures(job.pictures(), expected)


def test_a_job_goes_on_when_a_link_is_down_for_a_moment(
    hosts: Hosts, expected: dict[str, np.ndarray]
) -> None:
    job = Job(hosts, "moment", **OPTIONS, actors=2, shard_pairs=4)
    job.wait_for_shards(2)

    job.wait_for("pictures being made", lambda: any(map(is_busy, hosts.workers)))
    host = next(worker for worker in hosts.workers if has_actor(worker))
    host.unplug()
    job.wait_for_shards(2)  # made by the other one
    host.plug_in()
    assert job.end() == 0, job.said
    same_pictures(job.pictures(), expected)
