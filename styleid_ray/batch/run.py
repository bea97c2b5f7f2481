"""A whole job: check, plan, resume or begin, run on Ray, sum up."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TextIO

import numpy as np

from styleid_ray.batch.folder.failures import check_failures, tidy_errors
from styleid_ray.batch.folder.output import CONFIG, Output, as_ids
from styleid_ray.batch.folder.record import begin_run, find_run
from styleid_ray.batch.folder.status import Committed
from styleid_ray.batch.prepare import Prepared, prepare
from styleid_ray.batch.watch.measures import add_measures, of_gpus
from styleid_ray.batch.watch.progress import Progress, duration, shown
from styleid_ray.config import JobConfig
from styleid_ray.errors import OutputError
from styleid_ray.planning import Plan

SUMMARY = "summary.json"


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
        """0: every pair is done; 1: some failed (they are in errors/)."""
        return 0 if self.done == self.planned else 1


def stylize(config: JobConfig, stream: TextIO | None = None) -> Summary:
    """Runs the job, or what is left of it, and returns when it is done.

    Messages and progress go to `stream` (standard error by default). Raises JobError before any
    work starts when something is wrong with the options, the sources, the model or the output.
    """
    out = stream or sys.stderr
    output = Output(config.output, config.storage_options)
    output.check_writable()
    job = prepare(config)
    plan = job.plan
    record = find_run(output, config, job.checkpoint, plan)
    committed = Committed.read(output)
    planned = as_ids(plan.table.column("pair_id"))
    done = int(np.isin(planned, committed.done).sum())
    failed = int(np.isin(planned, committed.failed).sum())
    progress = Progress(plan.pairs, done, failed)
    left = progress.left
    if not left:
        print(f"nothing to do: {_counts(progress)} at {output.url}", file=out)
        return _finish(output, plan, progress, Counter(), began=time.monotonic())
    if record:
        print(f"resuming: {_counts(progress)} already, {left} to do", file=out)
    shards = record["plan"]["shards"] if record else None
    return _run(job, output, shards, committed.all, progress, out)


def retry(config: JobConfig, stream: TextIO | None = None) -> Summary:
    """Does what failed again, and nothing else, in the run that is at the config's output.

    Pairs that come out well are in `data/` afterwards and fail no more; the others keep one row in
    `errors/`, with the latest reason. Raises JobError as `stylize` does, or when there is no run.
    """
    out = stream or sys.stderr
    output = Output(config.output, config.storage_options)
    output.check_writable()
    job = prepare(config)
    record = find_run(output, config, job.checkpoint, job.plan)
    if record is None:
        raise OutputError(f"there is no run at {output.url} (no {CONFIG}): check the path")
    committed = Committed.read(output)
    planned = as_ids(job.plan.table.column("pair_id"))
    done = int(np.isin(planned, committed.done).sum())
    again = np.isin(planned, committed.failed)
    progress = Progress(done + int(again.sum()), done, failed=0)
    if not progress.left:
        print(f"nothing to retry: no pair failed at {output.url}", file=out)
        return _finish(output, job.plan, progress, Counter(), began=time.monotonic())
    print(f"retrying {progress.left} pairs that failed", file=out)
    skip, shards = np.sort(planned[~again]), record["plan"]["shards"]
    try:
        return _run(job, output, shards, skip, progress, out)
    finally:
        tidy_errors(output)


def _run(
    job: Prepared,
    output: Output,
    shards: int | None,
    skip: np.ndarray,
    progress: Progress,
    out: TextIO,
) -> Summary:
    """Does a run of so many shards, but for the pairs to skip; with None, begins one."""
    from styleid_ray.batch.cluster.connect import connected
    from styleid_ray.batch.cluster.growth import awaited, wait_for_growth
    from styleid_ray.batch.cluster.resources import choose_resources
    from styleid_ray.batch.pipeline import run_shards
    from styleid_ray.batch.watch.metrics import RunMetrics

    config, measures = job.config, Counter()
    check_failures(config.max_failures, progress, output)
    with connected(config) as where:
        wait_for_growth(config, out)
        if shards is None:
            workers = choose_resources(config, job.plan.pairs).max_actors
            if workers > 1 and not config.actors:  # else the plan is cut for them already
                job = job.for_workers(workers)
            begin_run(output, config, job.checkpoint, job.plan)
            shards = job.plan.shards
            print(_plan_line(job), file=out)
        resources = choose_resources(config, -(-progress.left * shards // progress.planned))
        device = f"{resources.gpus_per_actor:g} GPU each" if resources.gpus_per_actor else "on CPU"
        count = resources.max_actors
        print(f"{where}; {count} actor{'s' if count > 1 else ''}, {device}", file=out)
        began = time.monotonic()
        progress.begin(awaited=lambda: awaited(resources))
        metrics = RunMetrics(output.url, progress)
        with shown(progress, out), closing(run_shards(job, output, skip, resources)) as committed:
            for shard in committed:
                progress.add(int(shard.measures["done"]), int(shard.measures["failed"]))
                progress.say(shard.notes)
                metrics.add(shard.measures)
                add_measures(measures, shard.measures)
                measures["shards"] += 1
                check_failures(config.max_failures, progress, output)
    session = dict(measures) | of_gpus(measures, resources.gpus_per_actor)
    summary = _finish(output, job.plan, progress, session, began)
    print(_closing_line(summary), file=out)
    return summary


def _finish(
    output: Output, plan: Plan, progress: Progress, measures: Mapping[str, float], began: float
) -> Summary:
    seconds = time.monotonic() - began
    session = dict(measures) | {
        "seconds": round(seconds, 3),
        "pairs_per_second": round(progress.new / seconds, 4) if progress.new else 0.0,
    }
    summary = Summary(
        output=output.url,
        planned=plan.pairs,
        done=progress.done,
        failed=progress.failed,
        missing=plan.pairs - progress.done - progress.failed,
        session=session,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if progress.new:
        output.write(SUMMARY, json.dumps(asdict(summary), indent=2).encode())
    return summary


def _plan_line(job: Prepared) -> str:
    cost = job.cost
    return (
        f"{cost.pairs} pairs of {cost.contents} contents and {cost.styles} styles in {cost.shards} "
        f"shards: {cost.unet_evaluations:,} UNet evaluations "
        f"({cost.naive_unet_evaluations:,} pair by pair)"
    )


def _counts(progress: Progress) -> str:
    said = f"{progress.done} of {progress.planned} pairs are done"
    return said + (f", {progress.failed} failed" if progress.failed else "")


def _closing_line(summary: Summary) -> str:
    session = summary.session
    line = (
        f"{summary.done} of {summary.planned} pairs done in {duration(session['seconds'])}, "
        f"{session['pairs_per_second']:.3g} pairs/s, at {summary.output}\n"
        f"{session.get('unet_evaluations', 0):,.0f} UNet evaluations; "
        f"{session.get('inversions', 0):.0f} pictures inverted, "
        f"{session.get('inversions_reused', 0):.0f} times one was there from an earlier shard"
    )
    if session.get("gpu_hours"):
        line += (
            f"\n{session['gpu_hours']:.3g} GPU hours, {session['busy_share']:.0%} of them stylising"
        )
    if summary.failed:
        line += f"\n{summary.failed} pairs failed: their reasons are in {summary.output}/errors"
    return line
