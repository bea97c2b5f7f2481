"""Runs whose actors fail, hang or die on some of three nodes, which are all one machine."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray import cloudpickle
from ray.cluster_utils import Cluster

from styleid_ray import JobConfig
from styleid_ray.batch import pipeline
from styleid_ray.batch.run import Summary, stylize
from styleid_ray.batch.stages.stylize import Stylize
from styleid_ray.errors import JobError, ModelError
from tests.batch.conftest import draw, pictures_of

pytestmark = pytest.mark.cluster

Fail = Callable[[str, Path], None]
"""A hook that runs on a node before each shard, with a folder for its state."""
Run = Callable[..., tuple[Summary, str]]


def failing(fail: Fail, folder: Path, starting: bool = False) -> type:
    """A class of actors that fail while they start, or before each shard."""

    class Failing(Stylize):
        def pipeline(self, config: Any, revision: Any, resources: Any) -> Any:
            node = ray.get_runtime_context().get_node_id()
            pipe: Any = super().pipeline(config, revision, resources)
            if starting:
                fail(node, folder)
                return pipe
            make = pipe.stylize

            def make_or_fail(*args: Any, **options: Any) -> Any:
                fail(node, folder)
                return make(*args, **options)

            pipe.stylize = make_or_fail
            return pipe

    Failing.__name__ = Failing.__qualname__ = "Stylize"
    return Failing


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without CPUs and three nodes, each with room for one actor and light work."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(3):
            made.add_node(num_cpus=2, num_gpus=1, object_store_memory=100_000_000)
        ray.init(address=made.address, log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job of 24 pairs in 12 shards with actors that fail."""
    for seed in range(6):
        draw(tmp_path / "content" / f"{seed}.png", seed)
    for seed in range(4):
        draw(tmp_path / "style" / f"{seed}.png", 100 + seed)
    memory = tmp_path / "memory"
    memory.mkdir()

    def made(fail: Fail, starting: bool = False, **options: Any) -> tuple[Summary, str]:
        defaults: dict[str, Any] = {"actors": 3, "size": 64, "shard_pairs": 2, "device": "cpu"}
        if "method" not in options:
            defaults |= {"model": "demo", "steps": 2, "num_gpus_per_actor": 1}  # one per node
        config = JobConfig(
            content=str(tmp_path / "content"),
            style=str(tmp_path / "style"),
            output=str(tmp_path / "out"),
            **{**defaults, **options},
        )
        actors = failing(fail, memory, starting)
        shards = pipeline.run_shards
        monkeypatch.setattr(pipeline, "run_shards", lambda *args: shards(*args, stylize=actors))
        screen = io.StringIO()
        summary = stylize(config, screen)
        assert len(pictures_of(tmp_path / "out")) == summary.done
        return summary, screen.getvalue()

    return made


def first_on(node: str, folder: Path) -> bool:
    """Whether this node is the first one that asks."""
    try:
        with (folder / "node").open("x") as file:
            file.write(node)
    except FileExistsError:
        pass
    return (folder / "node").read_text() in (node, "")


def break_device() -> None:
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


def test_a_cuda_error_ends_the_process_and_its_shard_is_done_again(run: Run) -> None:
    def fail(node: str, folder: Path) -> None:
        if not (folder / "failed").exists():
            (folder / "failed").touch()
            break_device()

    summary, screen = run(fail)
    assert (summary.done, summary.failed) == (24, 0)
    assert "excluded" not in screen


def test_a_node_whose_device_fails_again_is_excluded_and_named(run: Run) -> None:
    def fail(node: str, folder: Path) -> None:
        if first_on(node, folder):
            with (folder / "failures").open("a") as file:
                file.write("x")
            break_device()

    summary, screen = run(fail)
    assert (summary.done, summary.failed) == (24, 0)
    (line,) = [line for line in screen.splitlines() if line.startswith("excluded")]
    assert "illegal memory access" in line
    assert "node" in line


def test_a_hanging_device_is_abandoned_and_its_shard_done_elsewhere(
    run: Run, tmp_path: Path
) -> None:
    def fail(node: str, folder: Path) -> None:
        if first_on(node, folder):
            (folder / "hung").touch()
            threading.Event().wait()

    summary, _ = run(fail, stall_minutes=0.5)
    assert (summary.done, summary.failed) == (24, 0)
    assert (tmp_path / "memory" / "hung").exists()


def test_a_node_whose_actor_cannot_start_is_left_out_and_named(run: Run) -> None:
    def fail(node: str, folder: Path) -> None:
        if first_on(node, folder):
            raise ModelError("model demo cannot be loaded: its disk is broken")

    summary, screen = run(fail, starting=True)
    assert (summary.done, summary.failed) == (24, 0)
    assert "excluded: model demo cannot be loaded: its disk is broken" in screen


def test_the_job_ends_with_the_reason_when_no_node_is_left(run: Run) -> None:
    def fail(node: str, folder: Path) -> None:
        raise ModelError("model demo cannot be loaded: its disk is broken")

    with pytest.raises(JobError, match=r"no node is left .*: its disk is broken"):
        run(fail, starting=True)


def test_an_actor_that_is_killed_25_times_in_a_long_run_costs_no_pair(run: Run) -> None:
    def fail(node: str, folder: Path) -> None:
        deaths = len(list(folder.glob("death-*")))
        if deaths < 25 and not (folder / f"alive-{deaths}").exists():
            (folder / f"alive-{deaths}").touch()  # one shard is done between two deaths
        elif deaths < 25:
            (folder / f"death-{deaths}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    # Without a model an actor starts in a third of the time.
    summary, _ = run(fail, actors=1, shard_pairs=1, method="reinhard")
    assert (summary.done, summary.failed) == (24, 0)


def test_a_shard_that_always_ends_its_process_ends_the_job_in_one_line(run: Run) -> None:
    def fail(node: str, folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(JobError, match=r"shard shard-\w+ ended the process .* 10 times") as raised:
        run(fail, actors=1, shard_pairs=24, method="reinhard")
    assert "\n" not in str(raised.value)
