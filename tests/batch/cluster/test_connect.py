"""The part of a cluster that a job takes, on a Ray with two made-up GPUs."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.cluster import connect, growth
from styleid_ray.batch.cluster.resources import Resources, choose_resources
from styleid_ray.batch.run import stylize
from styleid_ray.errors import JobError

Job = Callable[..., JobConfig]


@pytest.fixture(scope="module", autouse=True)
def two_gpus() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=2,
        resources={"accelerator_type:L4": 1},
        include_dashboard=False,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.mark.parametrize(
    ("options", "shards", "want"),
    [
        ({}, 100, (2, 2, 1, 0)),
        ({}, 1, (1, 1, 1, 0)),
        ({"num_gpus_per_actor": 0.5}, 100, (4, 4, 0.5, 0)),
        ({"num_gpus_per_actor": 2}, 100, (1, 1, 2, 1)),
        ({"num_gpus_per_actor": 0.1}, 100, (20, 20, 0.1, 0)),
        ({"accelerator_type": "L4"}, 100, (2, 2, 1, 0)),
        ({"actors": "1,5"}, 100, (1, 5, 1, 0)),
        ({"device": "cpu"}, 100, (1, 1, 0, 1)),
        ({"num_gpus_per_actor": 0}, 100, (1, 1, 0, 1)),
    ],
)
def test_actors_follow_the_gpus_by_default(
    job: Job, options: dict[str, Any], shards: int, want: tuple[float, ...]
) -> None:
    got = choose_resources(job(**options), shards)
    assert (got.min_actors, got.max_actors, got.gpus_per_actor, got.cpus_per_actor) == want


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"actors": 3}, "the cluster has 2: ask for fewer actors"),
        ({"num_gpus_per_actor": 1.5}, "whole number"),
        ({"num_gpus_per_actor": 0, "actors": 2}, "at most --actors 1"),
        ({"accelerator_type": "A100"}, "no GPU of that kind, only L4"),
    ],
)
def test_resources_that_the_cluster_lacks_are_reported_before_the_start(
    job: Job, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(JobError, match=message):
        choose_resources(job(**options), 100)


@pytest.mark.parametrize(
    ("resources", "memory"),
    [
        (Resources(1, 1, 1, 0), 1),
        (Resources(2, 2, 1, 0), 1 / 2),
        (Resources(1, 9, 1, 0), 1 / 2),
        (Resources(1, 9, 0.5, 0), 1 / 4),
        (Resources(1, 3, 0, 1), 1 / 3),
    ],
)
def test_an_actor_gets_its_share_of_its_own_node(resources: Resources, memory: float) -> None:
    assert resources.share()[1] == pytest.approx(memory)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(2, 9, 1, 0), None),
        (Resources(3, 9, 1, 0), "2 of 3 GPUs available"),
        (Resources(1, 1, 1, 0, "A100"), "0 of 1 A100 GPUs available"),
        (Resources(2, 2, 0, 1), "2 of 3 CPUs available"),
    ],
)
def test_resources_that_the_fewest_actors_wait_for_are_named(
    resources: Resources, message: str | None
) -> None:
    assert growth.awaited(resources) == message


def test_a_cluster_whose_head_is_gone_is_reported_and_does_not_end_the_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> None:
        raise ConnectionError("failed to connect to GCS")

    monkeypatch.setattr("ray.nodes", gone)
    assert growth.awaited(Resources(1, 1, 1, 0)) == "the cluster's head does not answer"


def test_a_fault_of_the_program_does_not_pass_for_a_head_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True}])
    with pytest.raises(KeyError):
        growth.awaited(Resources(1, 1, 1, 0))


def test_waiting_for_a_cluster_to_grow_reports_the_missing_machines(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(growth, "_SAY_SECONDS", 0.2)
    message = io.StringIO()
    growth.wait_for_growth(job(actors=3, grow=0.02, num_gpus_per_actor=1), message)
    first, second, *_ = message.getvalue().splitlines()
    assert first == "requesting 3 GPU and 1 CPU from the cluster: waiting up to 0.02 minutes"
    assert second.startswith("waiting: 2 of 3 GPUs available after ")


def test_waiting_for_gpus_that_no_option_names_tells_how_to_wait_for_none(job: Job) -> None:
    message = io.StringIO()
    growth.wait_for_growth(job(actors=3, grow=0.001), message)
    assert "minutes; --num-gpus-per-actor 0 requests no GPU\n" in message.getvalue()


def test_an_address_of_ipv6_may_have_its_brackets() -> None:
    with pytest.raises(JobError, match=r"no Ray at \[::1\]:1 ") as refused:
        connect._check_reachable("[::1]:1")
    assert not isinstance(refused.value.__cause__, socket.gaierror), "no name to look up"


def test_as_many_gpu_actors_as_cpus_leave_room_for_loading_and_writing(job: Job) -> None:
    config = job(device="cpu", num_gpus_per_actor=1, actors=2)
    assert stylize(config, io.StringIO()).done == 6
