"""The Ray Data pipeline: plan → load → stylize → commit."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError

from styleid_ray.batch.cluster.causes import cause_line
from styleid_ray.batch.cluster.connect import log_folder
from styleid_ray.batch.cluster.resources import Present, Resources, fitting
from styleid_ray.batch.cluster.settings import settle
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.prepare import Job
from styleid_ray.batch.stages.attempts import bounded
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.load import Load, load_memory
from styleid_ray.batch.stages.read_plan import ReadPlan
from styleid_ray.batch.stages.shard import Done, done_in
from styleid_ray.batch.stages.stylize import Stylize
from styleid_ray.batch.watch.board import View, start_board
from styleid_ray.batch.watch.lookout import Lookout
from styleid_ray.errors import JobError
from styleid_ray.planning.shards import most_pictures
from styleid_ray.storage.secrets import scrubbed

Work = Sequence[Mapping[str, Any]]
"""Entries of a work list, as `ReadPlan` takes them."""

# Ray runs neighbouring stages as one where they ask for the same; these stay apart, so that
# pictures are loaded while the actors compute. They wait for I/O more than they compute, and all
# three fit the one core that is left beside the actors at the least: Ray Data serves the first
# stages first, so that the last would wait until everything is loaded.
_READ_CPUS, _LOAD_CPUS, _COMMIT_CPUS = 0.25, 0.5, 0.25

# Threads that wait for one another let go of the core: spinning, two threads on two cores that are
# busy with something else took twenty times as long as one.
_ACTOR_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}

# One call computes while the pictures of the next shard are made ready for the device.
_CALLS = 2


def run_shards(
    job: Job,
    output: Output,
    work: Work,
    resources: Resources,
    pairs: int,
    seen: Callable[[View], None] = lambda view: None,
    stylize: type = Stylize,
) -> Generator[Done, None, None]:
    """Does the work; yields each shard when it is committed.

    The driver passes on names of shards and gets back a few numbers per shard: neither pairs nor
    pictures go through it. Shards that were handed back, because the nodes of their actors turned
    out to be sick, are done on the others.

    Args:
        job: the checked job.
        output: where its plan is stored and results go.
        work: what is left to do, for each part of the plan.
        resources: of the actors.
        pairs: the pairs of all that work.
        seen: is shown the board about once a second.
        stylize: class of the actors; one with the arguments of `Stylize` can stand in for it.

    Raises:
        JobError: the job cannot go on; everything committed is safe.
    """
    board = start_board()
    lookout = Lookout(board, pairs, seen)
    try:
        with closing(lookout):
            while work:
                undone: list[Done] = []
                sick = lookout.view.sick
                for done in _pass(
                    job, output, work, _without(sick, resources), board, stylize, sick
                ):
                    if done.handed_back:
                        undone.append(done)
                    else:
                        lookout.committed(done)
                        yield done
                work = _again(work, undone)
                if work:
                    lookout.resume()
    except RayError as e:
        raise _stopped(scrubbed(cause_line(e), job.config.storage_options)) from e
    finally:
        with suppress(RayError, RuntimeError):  # a Ray that is gone has no board
            ray.kill(board)


def _pass(
    job: Job,
    output: Output,
    work: Work,
    resources: Resources,
    board: Any,
    stylize: type,
    without: Mapping[str, str],
) -> Generator[Done, None, None]:
    """Does the work on all nodes but those in `without`."""
    config, revision = job.pinned, job.checkpoint.revision
    read = ReadPlan(output, config.shard_pairs, most_pictures(config.working_size))
    load = Load(job.contents, job.styles, config, job.checkpoint.factor)
    commit = Commit(output, config, revision)
    selector = {"ray.io/node-id": f"!in({','.join(without)})"} if without else None
    parts = ray.data.from_items(list(work), override_num_blocks=len(work))
    settle(parts.context)
    dataset = (
        parts.map_batches(
            read.__call__, batch_format="pyarrow", batch_size=None, num_cpus=_READ_CPUS
        )
        .map_batches(
            bounded("Load", load, board),
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_LOAD_CPUS,
            memory=_memory(load_memory(config)),
        )
        .map_batches(
            stylize,
            batch_format="pyarrow",
            batch_size=1,
            fn_constructor_args=(config, revision, resources, board),
            compute=ActorPoolStrategy(
                min_size=resources.min_actors,
                max_size=resources.max_actors,
                initial_size=resources.max_actors,
                max_tasks_in_flight_per_actor=_CALLS,
                max_concurrent_calls_per_actor=_CALLS,
                enable_true_multi_threading=True,
            ),
            num_gpus=resources.gpus_per_actor or None,
            num_cpus=resources.cpus_per_actor,
            accelerator_type=resources.accelerator_type,
            label_selector=selector,
            runtime_env={"env_vars": _ACTOR_ENVIRONMENT},
        )
        .map_batches(
            bounded("Commit", commit, board),
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_COMMIT_CPUS,
        )
    )
    # No prefetching, so each shard is reported as soon as it commits.
    batches: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for batch in batches:
        yield from done_in(batch)


def _memory(wanted: int) -> int | None:
    """That many bytes, but no more than some node has: Ray would wait for one."""
    most = max((n["Resources"].get("memory", 0) for n in ray.nodes() if n["Alive"]), default=0)
    return int(min(wanted, most)) or None


def _again(work: Work, undone: Sequence[Done]) -> list[Mapping[str, Any]]:
    """The part of the work that was handed back."""
    shards = {done.shard for done in undone}
    ids = {id for done in undone for id in done.handed_back}
    left = []
    for entry in work:
        key, kept = ("shards", shards) if entry.get("pair_ids") is None else ("pair_ids", ids)
        if some := [one for one in entry[key] if one in kept]:
            left.append({**entry, key: some})
    return left


def _without(sick: Mapping[str, str], resources: Resources) -> Resources:
    """The actors that the other nodes can hold. Raises JobError when no node is left."""
    if not sick:
        return resources
    present = Present.read(resources.accelerator_type, frozenset(sick))
    actors = (
        fitting(present.gpus, resources.gpus_per_actor)
        if resources.gpus_per_actor
        else int(present.cpus / resources.cpus_per_actor)
    )
    if not actors:
        reason = next(iter(sick.values()))
        raise _stopped(f"no node is left that can stylise: {reason}")
    most = min(resources.max_actors, actors)
    return replace(resources, min_actors=min(resources.min_actors, most), max_actors=most)


def _stopped(reason: str) -> JobError:
    return JobError(
        f"the job stopped: {reason}; everything committed is safe, run the same command again to "
        f"resume (Ray's logs: {log_folder()})"
    )
