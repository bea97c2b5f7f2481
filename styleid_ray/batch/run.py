"""A whole job: begin a run or open it, do what is left of it on Ray, sum up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from styleid_ray.batch.begin import begin, check_exportable, extend
from styleid_ray.batch.folder.failures import check_failures, read_failures
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import find_run, keep_rule, with_stored
from styleid_ray.batch.folder.tally import Tally, Work
from styleid_ray.batch.prepare import Job, resume
from styleid_ray.batch.remake import Remake
from styleid_ray.batch.watch.measures import of_gpus
from styleid_ray.batch.watch.progress import Progress, duration
from styleid_ray.config import JobConfig
from styleid_ray.datasets.options import in_threads

if TYPE_CHECKING:
    from styleid_ray.batch.cluster.resources import Resources

SUMMARY = "summary.json"
T = TypeVar("T")
R = TypeVar("R")
_FEW = 64
"""Items that are not worth a start of Ray."""


@dataclass(frozen=True)
class Summary:
    """The end of a run. Counts are of the whole output, `session` is what this call did."""

    output: str
    planned: int
    done: int
    failed: int
    missing: int
    session: dict[str, float]
    """Of this call: pairs done and failed, shards, seconds in all and by stage, pairs_per_second,
    unet_evaluations, inversions made and reused, peak_feature_bytes of an actor, bytes_in,
    bytes_out, gpu_hours and busy_share of the actors."""
    finished: str

    @property
    def exit_status(self) -> int:
        """0: every pair is done; 1: some failed (they are in errors/) or could not be remade."""
        return 0 if self.done == self.planned and not self.session.get("failed") else 1


def stylize(config: JobConfig, stream: TextIO | None = None) -> Summary:
    """Runs the job, or what is left of it, and returns when it is done.

    Messages and progress go to `stream` (standard error by default). Raises JobError before any
    work starts when something is wrong with the options, the sources, the model or the output.
    """
    return _run(config, stream or sys.stderr)


def retry(config: JobConfig, stream: TextIO | None = None) -> Summary:
    """Tries the failed pairs again, and nothing else, in the run that is at the config's output.

    Pairs that come out well are in `data/` afterwards and fail no more; the others keep one row in
    `errors/`, with the latest reason. Raises JobError as `stylize` does, or when there is no run.
    """
    return _run(config, stream or sys.stderr, again=True)


def remake(config: JobConfig, changes: Mapping[str, Any], stream: TextIO | None = None) -> Summary:
    """Makes the pairs again that the config's rule (`reject`) rejects, and nothing else, in the run
    that is at its output; rows and pictures of these pairs are replaced.

    Args:
        config: the job of the run.
        changes: parameters, one at least, in place of the run's own and of those that the plan has
            for a pair.
        stream: as for `stylize`.

    A pair that cannot be made now keeps the picture that it has. Raises JobError as `retry` does,
    or when there is no rule or no parameter.
    """
    chosen = Remake.of(config, changes)
    return _run(config, stream or sys.stderr, again=True, chosen=chosen)


def _run(
    config: JobConfig, out: TextIO, again: bool = False, chosen: Remake | None = None
) -> Summary:
    output = Output(config.output, config.storage_options)
    output.check_reachable()
    if config.push_to:
        from styleid_ray.datasets.hub import Hub

        Hub(config.push_to).check()
    record, job = find_run(output, config, needed=again), None
    if record is not None:
        config = with_stored(config, record)
        if chosen:
            chosen.config = with_stored(chosen.config, record)
    with _Cluster(config, out) as cluster:
        if record is not None:
            check_exportable(config, record.get("formats", {}).get("content"))
            if not again:
                record = keep_rule(output, record, config)
        if record is None:
            job = begin(output, config, cluster.resources, out, cluster.spread)
        elif config.extend and not again:
            extend(output, config, record, cluster.resources, out, cluster.spread)
        tally = Tally.read(output)
        if chosen:
            work = chosen.find(output, tally)
            progress = Progress(chosen.count, 0, 0)
        else:
            work, progress = _left(tally, again)
        check_failures(config.max_failures, progress, output)
        if not work:
            print(_nothing_to_do(progress, output, again, chosen), file=out)
            _export(config, out)
            return _summarise(output, tally, progress, {}, chosen)
        if job is None:
            print(_resuming(progress, again, chosen), file=out)
            job = resume(output, config)
        if chosen:
            job = chosen.apply(job)
        resources = cluster.resources(_rows(work, config))
        session = _work_off(job, output, work, resources, progress, out, chosen)
        summary = _summarise(output, tally, progress, session, chosen)
        print("\n".join(closing_lines(summary, output, chosen)), file=out)
        _export(config, out)
    return summary


def _export(config: JobConfig, out: TextIO) -> None:
    """Exports the finished run under its own rule, where that is asked for."""
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


class _Cluster:
    """The Ray cluster of a job, connected to when its resources are first asked for."""

    def __init__(self, config: JobConfig, out: TextIO) -> None:
        self.config, self.out = config, out
        self.where, self.grown = "", False
        self.connection = ExitStack()

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(self, *error: Any) -> None:
        self.connection.__exit__(*error)

    def connect(self) -> None:
        """Connects where it has not been done yet."""
        from styleid_ray.batch.cluster.connect import connected

        if not self.where:
            self.where = self.connection.enter_context(connected(self.config))
            print(self.where, file=self.out)

    def resources(self, shards: int) -> Resources:
        """Those of the actors for so many shards."""
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
        from styleid_ray.batch.cluster.spread import on_ray

        self.connect()
        return on_ray(function, items, self.config.storage_options)


def _work_off(
    job: Job,
    output: Output,
    work: Work,
    resources: Resources,
    progress: Progress,
    out: TextIO,
    chosen: Remake | None,
) -> dict[str, float]:
    """Does the work; returns what was measured."""
    from styleid_ray.batch.cluster.growth import awaited
    from styleid_ray.batch.export.live_card import live_card
    from styleid_ray.batch.pipeline import run_shards
    from styleid_ray.batch.watch.watch import watching

    params = job.config.unet_params
    sampling = params.sampling_evaluations * len(job.windows) if params else 0
    expected = progress.left * sampling // resources.max_actors
    resources = replace(resources, evaluations=expected)
    device = f"{resources.gpus_per_actor:g} GPU each" if resources.gpus_per_actor else "on CPU"
    count = resources.max_actors
    print(f"{count} actor{'s' if count > 1 else ''}, {device}", file=out)
    progress.begin(awaited=lambda: awaited(resources))
    with (
        watching(output, progress, out) as watch,
        live_card(job.config, output) as tell,
        closing(run_shards(job, output, work, resources, progress.left, watch.see)) as committed,
    ):
        for shard in committed:
            watch.add(shard)
            if chosen:
                chosen.add(shard)
            progress.say(tell(progress))
            check_failures(job.config.max_failures, progress, output)
    measures = watch.measures
    return dict(measures) | of_gpus(measures, resources.gpus_per_actor)


def _left(tally: Tally, again: bool) -> tuple[Work, Progress]:
    """The work, and the progress of the pairs to finish: of all, or in a retry of those that are
    done or were tried."""
    if again:
        return tally.to_retry(), Progress(tally.done + tally.failed, tally.done, 0)
    return tally.left(), Progress(tally.planned, tally.done, tally.failed)


def _rows(work: Work, config: JobConfig) -> int:
    """Rows of work for the actors, about."""
    return sum(
        len(entry["shards"]) if "shards" in entry else -(-len(entry["pair_ids"]) // most)
        for most in [config.shard_pairs]
        for entry in work
    )


def _summarise(
    output: Output,
    tally: Tally,
    progress: Progress,
    measures: dict[str, float],
    chosen: Remake | None,
) -> Summary:
    seconds = time.monotonic() - progress.began
    session = measures | {
        "seconds": round(seconds, 3),
        "pairs_per_second": round(progress.new / seconds, 4) if progress.new else 0.0,
    }
    done, failed = progress.done, progress.failed if progress.new else tally.failed
    if chosen:  # the pairs that were made again were done before
        done, failed = tally.done, tally.failed
    summary = Summary(
        output=output.url,
        planned=tally.planned,
        done=done,
        failed=failed,
        missing=tally.planned - done - failed,
        session=session,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if progress.new:
        output.write(SUMMARY, json.dumps(asdict(summary), indent=2).encode())
    return summary


def _nothing_to_do(progress: Progress, output: Output, again: bool, chosen: Remake | None) -> str:
    if chosen and chosen.made:
        return (
            f"nothing to make again: the {chosen.made:,} pairs that {chosen.rule} rejects were "
            "made with these parameters already: give others"
        )
    if chosen:
        return f"nothing to make again: {chosen.rule} rejects no pair at {output.url}"
    if again:
        return f"nothing to retry: no pair failed at {output.url}"
    line = f"nothing to do: {_counts(progress)} at {output.url}"
    return line + (f"; {_hint(output)}" if progress.failed else "")


def _resuming(progress: Progress, again: bool, chosen: Remake | None) -> str:
    if chosen:
        line = f"making {progress.left:,} pairs again that {chosen.rule} rejects"
        made = f"; {chosen.made:,} more were made with these parameters already"
        return line + made * bool(chosen.made)
    if again:
        return f"retrying {progress.left} pairs that failed"
    return f"resuming: {_counts(progress)} already, {progress.left} to do"


def _counts(progress: Progress) -> str:
    counts = f"{progress.done} of {progress.planned} pairs are done"
    return counts + (f", {progress.failed} failed" if progress.failed else "")


def closing_lines(summary: Summary, output: Output, chosen: Remake | None) -> list[str]:
    """What a call says at its end."""
    session = summary.session
    lines = [
        f"{summary.done} of {summary.planned} pairs done in {duration(session['seconds'])}, "
        f"{session['pairs_per_second']:.3g} pairs/s, at {summary.output}",
    ]
    if session.get("unet_evaluations"):
        lines.append(
            f"{session['unet_evaluations']:,.0f} UNet evaluations; "
            f"{session.get('inversions', 0):.0f} pictures inverted, "
            f"{session.get('inversions_reused', 0):.0f} times one was there from an earlier shard"
        )
    if session.get("gpu_hours"):
        lines.append(
            f"{session['gpu_hours']:.3g} GPU hours, {session['busy_share']:.0%} of them stylising"
        )
    if chosen:
        made, kept = int(session["done"]), int(session["failed"])
        lines.append(
            f"{made:,} pairs made again, {chosen.still_rejected(output):,} of {chosen.count:,} are "
            f"still rejected by {chosen.rule}"
        )
        if kept:
            (reason, *_) = chosen.kept.lines()
            lines.append(
                f"{kept:,} pairs could not be made and keep the pictures that they have; most "
                f"often {reason}"
            )
    if summary.failed:
        lines.append(f"{summary.failed} pairs failed; {_hint(output)}:")
        lines += read_failures(output, output.finished()).lines()
    return lines


def _hint(output: Output) -> str:
    return f"styleid-ray retry {output.url} tries them again"
