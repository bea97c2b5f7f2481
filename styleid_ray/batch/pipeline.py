"""The Ray Data pipeline: plan → load → stylize → commit."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError

from styleid_ray.batch.cluster.connect import log_folder
from styleid_ray.batch.cluster.ray_data import cause_line, dataset_of, results_of
from styleid_ray.batch.cluster.resources import Present, Resources, fitting
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.work import Work, filtered
from styleid_ray.batch.prepare import Job
from styleid_ray.batch.stages.commit import Commit
from styleid_ray.batch.stages.load import Load, load_memory
from styleid_ray.batch.stages.read_plan import ReadPlan
from styleid_ray.batch.stages.shard import Done, Shard, done_in, shards_in
from styleid_ray.batch.stages.stylize import Stylize
from styleid_ray.batch.watch.board import View, start_board
from styleid_ray.batch.watch.lookout import Lookout
from styleid_ray.batch.watch.reporter import ATTEMPTS, Reporter
from styleid_ray.errors import JobError
from styleid_ray.planning.shards import most_pictures
from styleid_ray.storage.secrets import scrubbed

# Ray fuses neighbouring stages that request the same resources. These differ, so that pictures are
# loaded while the actors compute. Read, load and commit mostly wait for I/O; together they request
# the one core that the actors leave free: Ray Data serves the first stages first, so the last would
# otherwise wait until everything is loaded.
_READ_CPUS, _LOAD_CPUS, _COMMIT_CPUS = 0.25, 0.5, 0.25

# Threads release the core while they wait for each other. On two busy cores, two spinning threads
# took twenty times as long as one thread.
_ACTOR_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}

# One call computes while the pictures of the next shard are prepared for the device.
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

    The driver passes on names of shards and gets back a few numbers per shard; neither pairs nor
    pictures go through it. Shards that sick nodes hand back are done on the other nodes.

    Args:
        job, output, resources: the checked job, its run, and its actors.
        work: per part of the plan, the shards or pairs that are left.
        pairs: number of pairs in `work`.
        seen: receives the board about once per second.
        stylize: class of the actors, with the arguments of `Stylize`.

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
                        lookout.check()
                names = {name for done in undone for name in (done.shard, *done.handed_back)}
                work = filtered(work, names.__contains__)
                if work:
                    lookout.resume()
            lookout.check()
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
    """Does the work on all nodes except those in `without`."""
    config, revision = job.pinned, job.checkpoint.revision
    read = ReadPlan(output, config.shard_pairs, most_pictures(config.working_size))
    load = Load(job.contents, job.styles, config, job.checkpoint.factor)
    commit = Commit(output, config, revision)
    selector = {"ray.io/node-id": f"!in({','.join(without)})"} if without else None
    dataset = (
        dataset_of(work, blocks=len(work))
        .map_batches(read.__call__, batch_format="pyarrow", batch_size=None, num_cpus=_READ_CPUS)
        .map_batches(
            _bounded("Load", load.log.of(load.load), board),
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
            _bounded("Commit", commit.log.of(commit.commit), board),
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=_COMMIT_CPUS,
        )
    )
    for block in results_of(dataset):
        yield from done_in(block)


def _bounded(
    name: str, stage: Callable[[Shard], Shard | Done], board: Any
) -> Callable[[pa.Table], Iterator[pa.Table]]:
    """The stage on blocks, shown by Ray under `name`; it passes on shards that were handed back.

    Ray restarts a task forever when its process dies, so the board counts how often a shard begins.
    """

    def begin_and_do(block: pa.Table) -> Iterator[pa.Table]:
        reporter = Reporter(board)
        for shard in shards_in(block):
            if shard.handed_back:
                ids = tuple(shard.pairs["pair_id"].to_pylist())
                yield Done(shard.name, {}, handed_back=ids).to_block()
                continue
            if reporter.begun(name, shard.name) > ATTEMPTS:
                raise JobError(
                    f"shard {shard.name} ended the process of the {name.lower()} stage {ATTEMPTS} "
                    "times, most often for lack of memory"
                )
            yield stage(shard).to_block()
            reporter.ended(name, shard.name)

    begin_and_do.__name__ = begin_and_do.__qualname__ = name
    return begin_and_do


def _memory(wanted: int) -> int | None:
    """The wanted bytes, at most those of the largest node: Ray would wait forever for more."""
    most = max((n["Resources"].get("memory", 0) for n in ray.nodes() if n["Alive"]), default=0)
    return int(min(wanted, most)) or None


def _without(sick: Mapping[str, str], resources: Resources) -> Resources:
    """The actors that fit on the other nodes. Raises JobError when no node is left."""
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
