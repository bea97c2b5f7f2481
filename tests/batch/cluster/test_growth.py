"""A run on a cluster that has no machine yet to do it. The machines are this one, made by Ray's own
autoscaler as it makes those of a cloud, and the GPUs are counted only."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from styleid_ray import JobConfig

pytestmark = pytest.mark.cluster

BIN = Path(sys.executable).parent
# Ray fills these in for its own kinds of provider only.
LISTS = [
    *("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands"),
    *("setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.fixture
def growing_cluster() -> Iterator[str]:
    """Address of a head with no work that starts up to two nodes with a GPU each."""
    gcs, agent, dashboard = free_port(), free_port(), free_port()
    address = f"127.0.0.1:{gcs}"
    head_node = "f" * 56
    config = {
        "cluster_name": "growing",
        "max_workers": 2,
        "idle_timeout_minutes": 1,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": head_node,
            "launch_multiple": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {
                "resources": {"CPU": 2, "GPU": 1, "object_store_memory": 200_000_000},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        **{name: [] for name in LISTS},
    }
    with tempfile.TemporaryDirectory(prefix="head-", dir="/tmp") as folder:
        file = Path(folder, "cluster.yaml")
        file.write_text(yaml.safe_dump(config))
        head = subprocess.Popen(
            [
                *(BIN / "ray", "start", "--head", "--block", "--disable-usage-stats"),
                *("--node-ip-address=127.0.0.1", f"--port={gcs}", f"--temp-dir={folder}/ray"),
                *(f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"),
                *(f"--ray-client-server-port={free_port()}", "--object-store-memory=200000000"),
                *("--num-cpus=0", "--num-gpus=0", f"--autoscaling-config={file}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
                "RAY_FAKE_CLUSTER": "1",
                "RAY_AUTH_MODE": "disabled",
                "RAY_enable_autoscaler_v2": "1",
                "RAY_CLOUD_INSTANCE_ID": head_node,
                "RAY_OVERRIDE_NODE_ID_FOR_TESTING": head_node,
                "RAY_NODE_TYPE_NAME": "ray.head.default",
                "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            },
        )
        try:
            wait_for(head, gcs)
            yield address
        finally:
            started = psutil.Process(head.pid).children(recursive=True)
            head.terminate()
            for left in psutil.wait_procs([psutil.Process(head.pid), *started], timeout=10)[1]:
                left.kill()
            head.wait()


def wait_for(head: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert head.poll() is None, "the head ended"
        assert time.monotonic() < deadline, "no head in two minutes"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)


def run(config: JobConfig, address: str, *args: str) -> tuple[int, str]:
    """Exit status and messages of a driver in a process of its own."""
    options = [
        f"--{name}={getattr(config, name)}"
        for name in ("content", "style", "output", "model", "size", "steps")
    ]
    driver = subprocess.run(
        [
            *(sys.executable, "-m", "styleid_ray.cli", "stylize", *options, "--device=cpu"),
            *(f"--address={address}", "--shard-pairs=1", "--num-gpus-per-actor=1", *args),
        ],
        stderr=subprocess.PIPE,
        text=True,
        timeout=150,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    return driver.returncode, driver.stderr


def test_a_cluster_grows_from_nothing_to_the_actors_of_the_job(
    growing_cluster: str, job: Callable[..., JobConfig]
) -> None:
    status, message = run(job(), growing_cluster, "--actors=1,2")
    assert status == 2
    assert "the cluster has no GPU" in message
    status, message = run(job(), growing_cluster, "--actors=1,2", "--grow=5")
    assert status == 0, message
    assert "requesting 1 GPU and 1 CPU from the cluster: waiting up to 5 minutes" in message
    assert "2 actors, 1 GPU each" in message


def test_a_cluster_that_cannot_grow_enough_is_one_line_after_the_wait(
    growing_cluster: str, job: Callable[..., JobConfig]
) -> None:
    status, message = run(job(), growing_cluster, "--actors=3", "--grow=0.2")
    assert status == 2
    assert "--actors 3" in message or "has no GPU" in message
