"""A run on several nodes. One machine stands for all of them, and the GPUs are counted only."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
from ray._private import state
from ray.cluster_utils import Cluster

from styleid_ray import JobConfig
from styleid_ray.batch.run import stylize
from tests.batch.conftest import draw, job, pictures

pytestmark = pytest.mark.cluster

__all__ = ["job", "pictures"]  # fixtures


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head with no GPU and no work, and a node with CPUs and one GPU; more can be added."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        made.add_node(num_cpus=2, num_gpus=1)
        ray.init(address=made.address, log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def nodes_of_actors() -> set[str]:
    """The nodes that stylize actors ran on."""
    return {
        actor["Address"]["NodeID"]
        for actor in state.actors().values()
        if "Stylize" in actor["Name"] + actor["ActorClassName"]
    }


def test_actors_spread_over_the_nodes_that_have_gpus(
    cluster: Cluster, job: Callable[..., JobConfig]
) -> None:
    cluster.add_node(num_cpus=1, num_gpus=1)
    config = job(shard_pairs=1, num_gpus_per_actor=1, device="cpu")
    said = io.StringIO()
    assert stylize(config, said).exit_status == 0
    assert "2 actors, 1 GPU each" in said.getvalue()
    assert nodes_of_actors() == {node.node_id for node in cluster.worker_nodes}


def test_actors_stay_on_the_nodes_with_the_kind_of_gpu_that_was_asked_for(
    cluster: Cluster, job: Callable[..., JobConfig]
) -> None:
    cluster.add_node(num_cpus=1, num_gpus=1, resources={"accelerator_type:T4": 1})
    node = cluster.add_node(num_cpus=1, num_gpus=1, resources={"accelerator_type:L4": 1})
    config = job(shard_pairs=1, accelerator_type="L4", device="cpu")
    said = io.StringIO()
    assert stylize(config, said).exit_status == 0
    assert "1 actor, 1 GPU each" in said.getvalue()
    assert nodes_of_actors() == {node.node_id}


def test_a_node_that_joins_late_is_used(
    cluster: Cluster, job: Callable[..., JobConfig], pictures: Path
) -> None:
    for seed in range(6, 18):
        draw(pictures / "content" / f"{seed}.png", seed)
    config = job(shard_pairs=1, steps=30, num_gpus_per_actor=1, device="cpu", actors="1,2")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(stylize, config, io.StringIO())
        while not list(pictures.glob("out/data/*.parquet")):
            assert not run.done(), run.result()
            time.sleep(0.05)
        cluster.add_node(num_cpus=1, num_gpus=1)
        assert run.result().exit_status == 0
    assert len(cluster.worker_nodes) == 2
    assert nodes_of_actors() == {node.node_id for node in cluster.worker_nodes}
