"""The Ray Data pipeline: plan → load → stylize → commit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy
from ray.data._internal.logging import get_log_directory
from ray.exceptions import RayError

from styleid_ray.batch.cluster import Resources
from styleid_ray.batch.commit import Commit
from styleid_ray.batch.load import Load
from styleid_ray.batch.output import PLAN, Output
from styleid_ray.batch.prepare import Prepared
from styleid_ray.batch.shard import Shard
from styleid_ray.batch.stylize import Stylize
from styleid_ray.errors import JobError, StyleIDError
from styleid_ray.planning import shards_of

# Ray runs neighbouring stages as one where they ask for the same; these stay apart, so that
# pictures are loaded while the actors compute. Both stages wait for I/O more than they compute.
_READ_CPUS, _LOAD_CPUS = 0.25, 0.5

# Threads that wait for one another let go of the core: spinning, two threads on two cores that are
# busy with something else took twenty times as long as one.
_ACTOR_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def run_shards(
    job: Prepared, output: Output, done: np.ndarray, resources: Resources
) -> Iterator[dict[str, float]]:
    """Does what the stored plan holds beyond `done` (sorted ids); yields each shard's measures.

    The driver passes on the names of the plan's parts and gets back a few numbers a shard: neither
    pairs nor pictures go through it.
    """
    config, plan, revision = job.config, job.plan, job.checkpoint.revision
    parts = [{"part": name} for name in output.files(PLAN)]
    dataset = (
        ray.data.from_items(parts, override_num_blocks=len(parts))
        .map_batches(
            ReadPlan(output, ray.put(done)).__call__,
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_READ_CPUS,
        )
        # A shard a block: the block is what Ray dispatches, retries and holds back.
        .repartition(target_num_rows_per_block=1)
        .map_batches(
            Load(plan.contents, plan.styles, config, job.checkpoint.factor).__call__,
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_LOAD_CPUS,
        )
        .map_batches(
            Stylize,
            batch_format="pyarrow",
            batch_size=1,
            fn_constructor_args=(config, revision, resources.threads),
            compute=ActorPoolStrategy(
                min_size=resources.min_actors,
                max_size=resources.max_actors,
                initial_size=resources.max_actors,
            ),
            num_gpus=resources.gpus_per_actor or None,
            num_cpus=resources.cpus_per_actor,
            runtime_env={"env_vars": _ACTOR_ENVIRONMENT},
        )
        .map_batches(
            Commit(output, config, revision).__call__,
            batch_format="pyarrow",
            batch_size=None,
        )
    )
    try:
        # Nothing fetched ahead: a shard is told of when it is committed, not when the next one is.
        batches: Any = dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        )
        for batch in batches:
            yield from map(json.loads, batch.column("measures").to_pylist())
    except RayError as e:
        raise JobError(
            f"the job stopped: {_cause(e)}; what is committed is safe, and the same command "
            f"goes on from there (Ray's logs: {get_log_directory()})"
        ) from e


def _cause(error: BaseException) -> str:
    """The first exception of a chain that Ray handed on, in one line."""
    while isinstance(getattr(error, "cause", None), BaseException):
        error = error.cause  # pyright: ignore[reportAttributeAccessIssue]
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, StyleIDError) else f"{type(error).__name__}: {lines[0]}"


class ReadPlan:
    """Names of plan parts to the shards in them that are not done.

    Args:
        output: where the plan is stored.
        done: reference to the sorted ids of finished pairs, in Ray's object store.
    """

    def __init__(self, output: Output, done: ray.ObjectRef) -> None:
        self.output = output
        self.done = done

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        done = ray.get(self.done)
        for name in block.column("part").to_pylist():
            for shard, pairs in shards_of(self.output.read_table(name), done):
                yield Shard(shard, pairs).to_block()
