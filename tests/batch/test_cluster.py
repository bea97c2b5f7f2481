"""What a job takes of a cluster; Ray is told of two GPUs that are not there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.cluster import choose_resources
from styleid_ray.batch.run import stylize
from styleid_ray.errors import JobError

Job = Callable[..., JobConfig]


@pytest.fixture(scope="module", autouse=True)
def two_gpus() -> Iterator[None]:
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.parametrize(
    ("options", "shards", "want"),
    [
        ({}, 100, (2, 2, 1, 0)),
        ({}, 1, (1, 1, 1, 0)),
        ({"num_gpus_per_actor": 0.5}, 100, (4, 4, 0.5, 0)),
        ({"num_gpus_per_actor": 2}, 100, (1, 1, 2, 0)),
        ({"actors": "1,5"}, 100, (1, 5, 1, 0)),
        ({"device": "cpu"}, 100, (1, 1, 0, 1)),
        ({"num_gpus_per_actor": 0}, 100, (1, 1, 0, 1)),
    ],
)
def test_actors_follow_the_gpus_unless_told_otherwise(
    job: Job, options: dict[str, Any], shards: int, want: tuple[float, ...]
) -> None:
    got = choose_resources(job(**options), shards)
    assert (got.min_actors, got.max_actors, got.gpus_per_actor, got.cpus_per_actor) == want


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"actors": 3}, "the cluster has 2: ask for fewer actors"),
        ({"num_gpus_per_actor": 1.5}, "whole number"),
        ({"num_gpus_per_actor": 0, "actors": 2}, "--actors 1 at most"),
    ],
)
def test_what_the_cluster_does_not_have_is_said_before_the_start(
    job: Job, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(JobError, match=said):
        choose_resources(job(**options), 100)


def test_as_many_gpu_actors_as_cpus_leave_room_for_loading_and_writing(job: Job) -> None:
    config = job(device="cpu", num_gpus_per_actor=1, actors=2)
    assert stylize(config, io.StringIO()).done == 6
