"""The Ray Data pipeline: plan → load → stylize → commit."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy
from ray.data._internal.logging import get_log_directory
from ray.exceptions import RayActorError, RayError, WorkerCrashedError

from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.prepare import Prepared
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.load import Load
from styleid_ray.batch.stages.read_plan import ReadPlan
from styleid_ray.batch.stages.shard import Done, done_in
from styleid_ray.batch.stages.stylize import Stylize
from styleid_ray.errors import JobError, StyleIDError
from styleid_ray.planning.shards import most_pictures
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import scrubbed

# Ray runs neighbouring stages as one where they ask for the same; these stay apart, so that
# pictures are loaded while the actors compute. Both stages wait for I/O more than they compute.
_READ_CPUS, _LOAD_CPUS = 0.25, 0.5

# Threads that wait for one another let go of the core: spinning, two threads on two cores that are
# busy with something else took twenty times as long as one.
_ACTOR_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}

# Processes die now and then: of memory, with their node. A shard that is cut off this often, or an
# actor that is, is at fault itself; Ray would begin it again for ever.
_TASK_RETRIES, _ACTOR_RESTARTS = 10, 20

_RAISED = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception): )")


def run_shards(
    job: Prepared,
    output: Output,
    work: Sequence[Mapping[str, Any]],
    resources: Resources,
    stylize: type = Stylize,
) -> Generator[Done, None, None]:
    """Does the work and yields each shard when it is committed.

    An entry of the work is a part of the stored plan with what is left of it: `part`, its name, and
    `shards`, names, or `pair_ids` of pairs to retry (`ReadPlan`).

    The driver passes on the names of the plan's parts and gets back a few numbers a shard: neither
    pairs nor pictures go through it. `stylize` is the class of the actors: what takes the same
    arguments as `Stylize` can stand in for it.
    """
    config, plan, revision = job.config, job.plan, job.checkpoint.revision
    dataset = (
        ray.data.from_items(list(work), override_num_blocks=len(work))
        .map_batches(
            ReadPlan(output, config.shard_pairs, most_pictures(config.size)).__call__,
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_READ_CPUS,
            max_retries=_TASK_RETRIES,
        )
        # A shard a block: the block is what Ray dispatches, retries and holds back.
        .repartition(target_num_rows_per_block=1)
        .map_batches(
            Load(plan.contents, plan.styles, config, job.checkpoint.factor).__call__,
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_LOAD_CPUS,
            max_retries=_TASK_RETRIES,
        )
        .map_batches(
            stylize,
            batch_format="pyarrow",
            batch_size=1,
            fn_constructor_args=(config, revision, resources),
            compute=ActorPoolStrategy(
                min_size=resources.min_actors,
                max_size=resources.max_actors,
                initial_size=resources.max_actors,
            ),
            num_gpus=resources.gpus_per_actor or None,
            num_cpus=resources.cpus_per_actor,
            accelerator_type=resources.accelerator_type,
            runtime_env={"env_vars": _ACTOR_ENVIRONMENT},
            max_restarts=_ACTOR_RESTARTS,
            max_task_retries=_TASK_RETRIES,
        )
        .map_batches(
            Commit(output, config, revision).__call__,
            batch_format="pyarrow",
            batch_size=None,
            max_retries=_TASK_RETRIES,
        )
    )
    try:
        # Nothing fetched ahead: a shard is told of when it is committed, not when the next one is.
        batches: Any = dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        )
        for batch in batches:
            yield from done_in(batch)
    except RayError as e:
        raise JobError(
            f"the job stopped: {scrubbed(_cause(e), config.storage_options)}; "
            "what is committed is safe, and the same command "
            f"goes on from there (Ray's logs: {get_log_directory()})"
        ) from e


def _cause(error: BaseException) -> str:
    """The first exception of a chain that Ray handed on, in one line."""
    while isinstance(getattr(error, "cause", None), BaseException):
        error = error.cause  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(error, WorkerCrashedError):
        return f"loading or writing one shard ended its process {_TASK_RETRIES + 1} times"
    if isinstance(error, RayActorError) and not error.actor_init_failed:
        return (
            f"stylize actors end again and again, one of them {_ACTOR_RESTARTS} times or with one "
            f"shard {_TASK_RETRIES} times, for want of memory most often"
        )
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, RayActorError):  # a traceback in text, and the constructor's error in it
        raised = [line for line in lines if _RAISED.match(line)]
        return shown(_RAISED.sub(r"\1", (raised or lines)[-1]))
    said = shown(lines[0])
    return said if isinstance(error, StyleIDError) else f"{type(error).__name__}: {said}"
