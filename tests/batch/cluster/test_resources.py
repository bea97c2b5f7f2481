from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import ray

from styleid_ray import JobConfig
from styleid_ray.batch.cluster.resources import Present, Resources, choose_resources
from styleid_ray.errors import JobError

Job = Callable[..., JobConfig]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes Ray report nodes with the given GPUs and CPUs."""

    def made(*nodes: tuple[int, int]) -> None:
        told = [
            {"Alive": True, "NodeID": str(at), "Resources": {"GPU": gpus, "CPU": cpus}}
            for at, (gpus, cpus) in enumerate(nodes)
        ]
        monkeypatch.setattr(ray, "nodes", lambda: told)

    return made


@pytest.mark.parametrize(
    ("nodes", "options", "cpus"),
    [
        ([(1, 4)], {}, 1),
        ([(8, 32), (1, 4)], {}, 1),
        ([(8, 8), (1, 4)], {}, 0),  # the cores of the first node are wanted for loading
        ([(1, 1), (0, 16)], {}, 0),
        ([(1, 2)], {"num_gpus_per_actor": 0.5}, 0),
        ([(1, 4)], {"num_gpus_per_actor": 0.5}, 1),
    ],
)
def test_an_actor_has_a_core_for_its_launching_thread_where_its_node_can_spare_it(
    job: Job,
    cluster: Callable[..., None],
    nodes: list[tuple[int, int]],
    options: dict[str, Any],
    cpus: int,
) -> None:
    cluster(*nodes)
    assert choose_resources(job(**options), 100).cpus_per_actor == cpus


@pytest.mark.parametrize(
    ("nodes", "options", "remedy"),
    [
        ([(1, 4)], {"num_gpus_per_actor": 0}, "give --num-gpus-per-actor 1"),
        ([(0, 4)], {}, "use --device cpu"),
    ],
)
def test_cuda_without_gpus_for_the_actors_is_refused(
    job: Job,
    cluster: Callable[..., None],
    nodes: list[tuple[int, int]],
    options: dict[str, Any],
    remedy: str,
) -> None:
    cluster(*nodes)
    with pytest.raises(JobError, match=remedy):
        choose_resources(job(device="cuda", **options), 100)


def test_an_actor_without_a_gpu_of_its_own_computes_on_the_cpu() -> None:
    assert Resources(1, 1, 0, 1).device("auto") == "cpu"
    assert Resources(1, 1, 0.5, 1).device("auto") == "auto"


def test_excluded_nodes_do_not_count(cluster: Callable[..., None]) -> None:
    cluster((1, 4), (2, 8))
    assert (Present.read().gpus, Present.read().cpus) == (3, 12)
    left = Present.read(excluded=frozenset({"1"}))
    assert (left.gpus, left.cpus) == (1, 4)
