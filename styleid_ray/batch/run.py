"""A whole job: check, plan, resume or begin, run on Ray, sum up."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TextIO

import numpy as np

from styleid_ray.batch.output import Output, as_ids
from styleid_ray.batch.prepare import Prepared, prepare
from styleid_ray.batch.progress import Progress, duration, shown
from styleid_ray.batch.record import open_run
from styleid_ray.batch.status import Committed
from styleid_ray.config import JobConfig
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
    unet_evaluations, bytes_in, bytes_out."""
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
    output = Output(config.output)
    job = prepare(config)
    plan = job.plan
    open_run(output, config, job.checkpoint, plan)
    committed = Committed.read(output)
    planned = as_ids(plan.table.column("pair_id"))
    done = int(np.isin(planned, committed.done).sum())
    failed = int(np.isin(planned, committed.failed).sum())
    progress = Progress(plan.pairs, done, failed)
    left = plan.pairs - done - failed
    if not left:
        print(f"nothing to do: {_counts(progress)} at {output.url}", file=out)
        return _finish(output, plan, progress, Counter(), began=time.monotonic())
    print(_plan_line(job), file=out)
    if done or failed:
        print(f"resuming: {_counts(progress)} already, {left} to do", file=out)
    return _run(job, output, committed, progress, out)


def _run(
    job: Prepared, output: Output, committed: Committed, progress: Progress, out: TextIO
) -> Summary:
    from styleid_ray.batch.cluster import choose_resources, connected
    from styleid_ray.batch.pipeline import run_shards

    plan, measures = job.plan, Counter()
    with connected(job.config) as where:
        shards = -(-(plan.pairs - progress.done - progress.failed) * plan.shards // plan.pairs)
        resources = choose_resources(job.config, shards)
        device = f"{resources.gpus_per_actor:g} GPU each" if resources.gpus_per_actor else "on CPU"
        print(f"{where}; {resources.max_actors} actors, {device}", file=out)
        began = progress.began = time.monotonic()
        with shown(progress, out):
            for shard in run_shards(job, output, committed.all, resources):
                progress.add(int(shard["done"]), int(shard["failed"]))
                measures.update(shard)
                measures["shards"] += 1
    summary = _finish(output, plan, progress, measures, began)
    print(_closing_line(summary), file=out)
    return summary


def _finish(
    output: Output, plan: Plan, progress: Progress, measures: Counter[str], began: float
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
        f"{session['pairs_per_second']:.3g} pairs/s, at {summary.output}"
    )
    if summary.failed:
        line += f"\n{summary.failed} pairs failed: their reasons are in {summary.output}/errors"
    return line
