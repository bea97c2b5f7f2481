"""A whole job: begin or open a run, do the work that is left on Ray, sum up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from styleid_ray.batch.begin import begin, check_exportable, extend
from styleid_ray.batch.folder.failures import check_failures
from styleid_ray.batch.folder.identity import with_stored
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import find_run, keep_rule, moved_sources
from styleid_ray.batch.folder.work import Work
from styleid_ray.batch.limits import Limits
from styleid_ray.batch.prepare import Job, resume
from styleid_ray.batch.remake import Remake
from styleid_ray.batch.session import (
    Session,
    Summary,
    closing_lines,
    nothing_to_do,
    resuming,
    rounded_limit,
)
from styleid_ray.batch.watch.progress import counted
from styleid_ray.batch.watch.trackers import check_trackers
from styleid_ray.config import JobConfig
from styleid_ray.datasets.options import in_threads

if TYPE_CHECKING:
    from styleid_ray.batch.cluster.resources import Resources

T = TypeVar("T")
R = TypeVar("R")
_FEW = 64
"""Items that are done on threads, since starting Ray takes longer."""


def stylize(config: JobConfig, stream: TextIO | None = None) -> Summary:
    """Runs the job, or the work that is left of it, and returns when it is done.

    Messages and progress go to `stream` (standard error by default). Raises JobError before any
    work starts if the options, the sources, the model or the output cannot be used.
    """
    return _run(config, stream or sys.stderr)


def retry(config: JobConfig, stream: TextIO | None = None) -> Summary:
    """Tries only the failed pairs of the run at the config's output again.

    Pairs that succeed are in `data/` afterwards; the others keep one row in `errors/`, with the
    latest reason. Raises JobError as `stylize` does, or when there is no run.
    """
    return _run(config, stream or sys.stderr, again=True)


def remake(config: JobConfig, changes: Mapping[str, Any], stream: TextIO | None = None) -> Summary:
    """Remakes only the pairs of the run at the config's output that its rule (`reject`) rejects;
    their rows and pictures are replaced.

    Args:
        config: the job of the run.
        changes: at least one parameter, in place of the run's own and of a pair's in the plan.
        stream: as for `stylize`.

    A pair that cannot be made now keeps its picture. Raises JobError as `retry` does, or without a
    rule or a parameter.
    """
    chosen = Remake.of(config, changes)
    return _run(config, stream or sys.stderr, again=True, chosen=chosen)


def _run(
    config: JobConfig, out: TextIO, again: bool = False, chosen: Remake | None = None
) -> Summary:
    """Checks the command, begins or reopens the run, makes the pairs that are left, sums up."""
    limits, output = Limits(config), _checked_output(config)
    record, job = find_run(output, config, needed=again), None
    if record is not None:
        config = with_stored(config, record)
        if chosen:
            chosen.config = with_stored(chosen.config, record)
    with _Cluster(config, out) as cluster:
        if record is None:
            job = begin(output, config, cluster.resources, out, cluster.spread)
        else:
            _reopen(output, record, cluster, again)
        session = Session(output, config, limits, again, chosen)
        check_failures(config.max_failures, session.progress, output)
        if session.work:
            summary = _make_pairs(session, job, cluster)
        else:
            print(nothing_to_do(session), file=out)
            summary = session.summarise({})
        if not summary.stopped:
            _export(config, out)
    return summary


def _checked_output(config: JobConfig) -> Output:
    """The output, reachable like all that the run reports to."""
    check_trackers(config.log_to)
    output = Output(config.output, config.storage_options)
    output.check_reachable()
    if config.push_to:
        from styleid_ray.datasets.hub import Hub

        Hub(config.push_to).check()
    return output


def _reopen(output: Output, record: dict[str, Any], cluster: _Cluster, again: bool) -> None:
    """Brings an existing run up to date with the command: its rule, and new pairs if requested."""
    config, out = cluster.config, cluster.out
    check_exportable(config, record.get("formats", {}).get("content"))
    if again:
        return
    record = keep_rule(output, record, config)
    if config.extend:
        extend(output, config, record, cluster.resources, out, cluster.spread)
    elif line := moved_sources(config, record):
        print(line, file=out)


def _make_pairs(session: Session, job: Job | None, cluster: _Cluster) -> Summary:
    """Makes the pairs of a session. `job` is None for a run that began earlier."""
    config, out = cluster.config, cluster.out
    if job is None:
        print(resuming(session), file=out)
        job = resume(session.output, config)
    if session.chosen:
        job = session.chosen.apply(job)
    if line := rounded_limit(session):
        print(line, file=out)
    resources = cluster.resources(_rows(session.work, config.shard_pairs))
    summary = session.summarise(_work_off(session, job, resources, out))
    print("\n".join(closing_lines(summary, session.output, session.chosen)), file=out)
    return summary


def _export(config: JobConfig, out: TextIO) -> None:
    if not config.export:
        return
    from styleid_ray.batch.export.job import export
    from styleid_ray.batch.export.outcome import ExportOptions

    to = f"{config.output.rstrip('/')}/export/{config.export}"
    options = ExportOptions(
        config.output,
        to,
        config.export,
        hub_id=config.push_to,
        address=config.address,
        storage_options=config.storage_options,
    )
    print("\n".join(export(options, out).lines()), file=out)


class _Cluster(ExitStack):
    """The Ray cluster of a job, connected to when it is first needed."""

    def __init__(self, config: JobConfig, out: TextIO) -> None:
        super().__init__()
        self.config, self.out = config, out
        self.connected = self.grown = False

    def connect(self) -> None:
        """Connects, the first time."""
        from styleid_ray.batch.cluster.connect import connected

        if not self.connected:
            description = self.enter_context(connected(self.config))
            self.connected = True
            print(description, file=self.out)

    def resources(self, shards: int) -> Resources:
        """The actors for a number of shards."""
        from styleid_ray.batch.cluster.growth import wait_for_growth
        from styleid_ray.batch.cluster.resources import choose_resources

        self.connect()
        if not self.grown:
            self.grown = True
            wait_for_growth(self.config, self.out)
        return choose_resources(self.config, shards)

    def spread(self, function: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
        """Calls a function on items: few on threads of the driver, many on the cluster."""
        if len(items) <= _FEW:
            return in_threads(function, items)
        from styleid_ray.batch.cluster.ray_data import on_ray

        self.connect()
        return on_ray(function, items, self.config.storage_options)


def _work_off(session: Session, job: Job, resources: Resources, out: TextIO) -> dict[str, float]:
    """Does the work, as far as the limits allow; returns its measures."""
    from styleid_ray.batch.cluster.growth import awaited
    from styleid_ray.batch.export.live_card import live_card
    from styleid_ray.batch.pipeline import run_shards
    from styleid_ray.batch.watch.watch import of_actors, watching

    config, output, progress, limits = job.config, session.output, session.progress, session.limits
    limits.begin(resources.gpus_per_actor)
    if limits.check():
        return {}
    params = config.unet_params
    sampling = params.sampling_evaluations * len(job.windows) if params else 0
    expected = progress.left * sampling // resources.max_actors
    resources = replace(resources, evaluations=expected)
    device = f"{resources.gpus_per_actor:g} GPU each" if resources.gpus_per_actor else "on CPU"
    print(f"{counted(resources.max_actors, 'actor')}, {device}", file=out)
    progress.begin(awaited=lambda: awaited(resources))
    with (
        watching(config, output, progress, limits, out) as watch,
        limits.stopping(),
        live_card(config, output, progress) as update_card,
        closing(
            run_shards(job, output, session.work, resources, progress.left, watch.see)
        ) as committed,
    ):
        for shard in committed:
            if session.chosen:
                session.chosen.add(shard)
            watch.add(shard)
            update_card()
            if progress.left and limits.check():
                break
            check_failures(config.max_failures, progress, output)
    return dict(watch.measures) | of_actors(watch.measures, resources.gpus_per_actor)


def _rows(work: Work, shard_pairs: int) -> int:
    """Approximate number of rows of work for the actors."""
    return sum(
        len(entry["shards"]) if "shards" in entry else -(-len(entry["pair_ids"]) // shard_pairs)
        for entry in work
    )
