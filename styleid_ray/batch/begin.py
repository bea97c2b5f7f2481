"""Planning a run: the pairs that it begins with, and those that its sources gain later."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.folder.identity import with_precision
from styleid_ray.batch.folder.output import PLAN, Output
from styleid_ray.batch.folder.record import begin_run, check_model, extend_run
from styleid_ray.batch.prepare import Job, Prepared, prepare
from styleid_ray.batch.watch.progress import counted
from styleid_ray.config import JobConfig
from styleid_ray.datasets.formats import (
    check_format,
    check_geometry,
    crop_note,
    open_labels,
    recognised,
)
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.source import dataset_line, skipped_line
from styleid_ray.errors import ConfigError
from styleid_ray.planning import Pace
from styleid_ray.planning.choice import Earlier
from styleid_ray.planning.pairing import content_options
from styleid_ray.storage.locations import local_path, shown

Ask = Callable[[int], Resources]
"""Resources for a number of shards; connects to the cluster."""


def begin(
    output: Output,
    config: JobConfig,
    resources: Ask,
    out: TextIO,
    spread: Spread = in_threads,
) -> Job:
    """Plans and records a new run; raises JobError if the job cannot run as requested."""
    output.check_writable()
    job = prepare(config, spread, Earlier(store=output))
    _print_formats(job, out)
    _print(out, *job.notes)
    actors = resources(len(job.named.ids))
    job = replace(job, config=with_precision(job.config, actors.gpus_per_actor))
    plan = job.named.cut(job.config, _pace(job, actors))
    begin_run(output, job, plan)
    cost = job.cost_of(plan)
    evaluations = (
        f"{cost.unet_evaluations:,} UNet evaluations ({cost.naive_unet_evaluations:,} pair by pair)"
        if job.config.unet_params
        else f"method {config.method}, no UNet evaluations"
    )
    print(
        f"{counted(cost.pairs, 'pair')} of {counted(cost.contents, 'content')} and "
        f"{counted(cost.styles, 'style')} in {counted(cost.shards, 'shard')}: {evaluations}",
        file=out,
    )
    _print(out, skipped_line(job.contents, job.styles))
    return job


def extend(
    output: Output,
    config: JobConfig,
    record: Mapping[str, Any],
    resources: Ask,
    out: TextIO,
    spread: Spread = in_threads,
) -> None:
    """Adds the pairs that a run's plan lacks."""
    output.check_writable()
    pairs = _known_pairs(output) if config.pairing == "balanced" else None
    job = prepare(config, spread, Earlier(pairs, output))
    _print(out, *job.notes)
    check_model(output, record, job.checkpoint)
    new = job.named.without(_known_ids(output))
    if len(new.ids):
        plan = new.cut(job.config, _pace(job, resources(len(new.ids))))
        gained = [
            counted(len(keys), f"new {role}")
            for role in ("content", "style")
            if (keys := {*new.pairs.table[role].unique().to_pylist()} - _known_keys(output, role))
        ]
        extend_run(output, record, plan)
        gained.append(counted(plan.pairs, "new pair"))
        print(f"{', '.join(gained)} in {counted(plan.shards, 'shard')}", file=out)
    else:
        print("the sources have no new pairs", file=out)
    _print(out, skipped_line(job.contents, job.styles))


def _pace(job: Prepared, actors: Resources) -> Pace:
    threads, _ = actors.share()
    return job.pace(actors.max_actors, actors.gpus_per_actor, threads)


def _print_formats(job: Prepared, out: TextIO) -> None:
    """Prints the recognised format of --content, and the styles of each split."""
    config, source = job.config, job.contents
    check_exportable(config, source.format)
    if config.export and config.fit == "crop":
        options = recognised(content_options(config, config.storage_options), source.format)
        check_geometry(open_labels(options, job.named.pairs.contents), "crop")
    if not config.export:
        _print(out, crop_note(source.format, config.fit, bool(config.label_masks)))
    if line := dataset_line(source):
        print(f"--content: {line}: {len(source.keys):,} pictures", file=out)
    if len(styles := _styles_by_split(job.named.pairs.table)) > 1:
        counts = ", ".join(f"{split} {count:,}" for split, count in sorted(styles.items()))
        print(f"styles of each split: {counts}", file=out)


def _styles_by_split(pairs: pa.Table) -> dict[str, int]:
    """Number of styles paired with the pictures of each split; empty without splits."""
    if "split" not in pairs.column_names:
        return {}
    columns = ["split", "style"]
    distinct = pairs.select(columns).unify_dictionaries().group_by(columns).aggregate([])
    return Counter(distinct["split"].to_pylist())


def check_exportable(config: JobConfig, format: str | None) -> None:
    """Raises JobError if the job's export, or its upload, is not possible. `format` is the dataset
    format of its contents; None or '' if unknown."""
    if not config.export:
        return
    if not format:
        options = content_options(config, config.storage_options)
        format = recognised(options, None).format if config.content else "folder"
    check_format(config.export, format, "export")
    if note := crop_note(format, config.fit, bool(config.label_masks)):
        raise ConfigError(f"--export: {note}")
    if config.push_to and local_path(config.output) is None:
        raise ConfigError(
            f"--push-to publishes a local folder, and --output {shown(config.output)} is not one: "
            "run without it, and export to a local folder with --push-to afterwards"
        )


def _print(out: TextIO, *lines: str | None) -> None:
    for line in filter(None, lines):
        print(line, file=out)


def _known_pairs(output: Output) -> pa.Table:
    names = ["content", "style"]
    parts = [output.plan_part(name, names) for name in output.files(PLAN)]
    return pa.concat_tables(parts).unify_dictionaries().group_by(names).aggregate([])


def _known_ids(output: Output) -> np.ndarray:
    parts = [output.read_ids(name) for name in output.files(PLAN)]
    return np.concatenate(parts or [np.empty(0, "S32")])


def _known_keys(output: Output, role: str) -> set[str]:
    """Keys of the contents or styles that the plan has."""
    parts = [output.plan_part(name, [role]) for name in output.files(PLAN)]
    return {key for part in parts for key in part[role].unique().to_pylist()}
