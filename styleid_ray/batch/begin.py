"""Planning a run: the pairs that it begins with, and those that its sources have gained since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pyarrow as pa

from styleid_ray.batch.folder.identity import with_precision
from styleid_ray.batch.folder.output import PLAN, Output
from styleid_ray.batch.folder.record import begin_run, check_model, extend_run
from styleid_ray.batch.prepare import Job, Prepared, prepare
from styleid_ray.batch.watch.progress import counted
from styleid_ray.config import JobConfig
from styleid_ray.datasets.formats import (
    check_export,
    check_geometry,
    open_labels,
    recognised,
)
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.source import Source, dataset_line, skipped_line
from styleid_ray.errors import ConfigError
from styleid_ray.planning import NamedPairs, Pace
from styleid_ray.planning.earlier import Earlier
from styleid_ray.planning.pairing import content_options
from styleid_ray.storage.locations import local_path, shown

if TYPE_CHECKING:
    from styleid_ray.batch.cluster.resources import Resources

Ask = Callable[[int], "Resources"]
"""Resources for so many shards at most; connects to the cluster."""
_EXAMPLES = 3


def begin(
    output: Output,
    config: JobConfig,
    resources: Ask,
    out: TextIO,
    spread: Spread = in_threads,
) -> Job:
    """Plans and records a new run; raises JobError when the job cannot run as it is asked for."""
    output.check_writable()
    job = prepare(config, spread, Earlier(store=output))
    _print_formats(job, out)
    _print_notes(job, out)
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
    _print_skipped(job, out)
    return job


def extend(
    output: Output,
    config: JobConfig,
    record: Mapping[str, Any],
    resources: Ask,
    out: TextIO,
    spread: Spread = in_threads,
) -> None:
    """Adds the pairs that a run's plan lacks by now, and reports pictures that differ from those
    that it was planned with."""
    output.check_writable()
    pairs = _known_pairs(output) if config.pairing == "balanced" else None
    job = prepare(config, spread, Earlier(pairs, output))
    _print_notes(job, out)
    check_model(output, record, job.checkpoint)
    new = job.named.without(_known_ids(output))
    contents, styles = (_Pictures.read(output, role) for role in ("content", "style"))
    if len(new.ids):
        plan = new.cut(job.config, _pace(job, resources(len(new.ids))))
        extend_run(output, record, plan)
        gained = [*contents.new(new), *styles.new(new), counted(plan.pairs, "new pair")]
        print(f"{', '.join(gained)} in {counted(plan.shards, 'shard')}", file=out)
    else:
        print("the sources have no new pairs", file=out)
    differing = [*contents.differences(job.contents), *styles.differences(job.styles)]
    if differing:
        print(f"pairs that were planned before stay as they are: {'; '.join(differing)}", file=out)
    _print_skipped(job, out)


def _pace(job: Prepared, actors: Resources) -> Pace:
    return job.pace(actors.max_actors, actors.gpus_per_actor, actors.share().threads)


def _print_formats(job: Prepared, out: TextIO) -> None:
    """Says what --content was recognised as, and which of its splits are taken."""
    config, source = job.config, job.contents
    check_exportable(config, source.format)
    if config.export and config.fit == "crop":
        options = recognised(content_options(config, config.storage_options), source.format)
        check_geometry(open_labels(options, job.named.pairs.contents), "crop")
    if line := dataset_line(source):
        print(f"--content: {line}: {len(source.keys):,} pictures", file=out)
    if len(styles := styles_by_split(job.named.pairs.table)) > 1:
        counts = ", ".join(f"{split} {count:,}" for split, count in sorted(styles.items()))
        print(f"styles of each split: {counts}", file=out)


def styles_by_split(pairs: pa.Table) -> dict[str, int]:
    """How many styles the pictures of each split meet; empty where there are no splits."""
    if "split" not in pairs.column_names:
        return {}
    both = pairs.select(["split", "style"]).unify_dictionaries().group_by(["split", "style"])
    return Counter(both.aggregate([])["split"].to_pylist())


def check_exportable(config: JobConfig, format: str | None) -> None:
    """Checks that the run can be exported, where that is asked for.

    Args:
        config: the job.
        format: dataset format of its contents; None or '' where it is not known.

    Raises:
        JobError: it cannot, or not be published.
    """
    if not config.export:
        return
    if not format:
        options = content_options(config, config.storage_options)
        format = recognised(options, None).format if config.content else "folder"
    check_export(config.export, format, config.fit, bool(config.label_masks))
    if config.push_to and local_path(config.output) is None:
        raise ConfigError(
            f"--push-to publishes a folder of this machine, and --output {shown(config.output)} is "
            "none: run without it, and export to a local folder with --push-to afterwards"
        )


def _print_skipped(job: Job, out: TextIO) -> None:
    line = skipped_line(job.contents, job.styles)
    if line:
        print(line, file=out)


def _print_notes(job: Prepared, out: TextIO) -> None:
    for line in (*job.named.pairs.notes, *job.notes):
        print(line, file=out)


def _known_pairs(output: Output) -> pa.Table:
    """The distinct contents and styles of the plan's pairs."""
    names = ["content", "style"]
    parts = [output.plan_part(name, names) for name in output.files(PLAN)]
    return pa.concat_tables(parts).unify_dictionaries().group_by(names).aggregate([])


def _known_ids(output: Output) -> np.ndarray:
    parts = [output.read_ids(name) for name in output.files(PLAN)]
    return np.concatenate(parts or [np.empty(0, "S32")])


class _Pictures:
    """The contents or styles of a plan, with the versions that it has of each."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.versions: dict[str, set[str | None]] = {}

    @classmethod
    def read(cls, output: Output, role: str) -> _Pictures:
        pictures, columns = cls(role), [role, f"{role}_version"]
        for name in output.files(PLAN):
            part = output.plan_part(name, columns).unify_dictionaries()
            for row in part.group_by(columns).aggregate([]).to_pylist():
                versions = pictures.versions.setdefault(row[role], set())
                versions.add(row[f"{role}_version"])
        return pictures

    def new(self, pairs: NamedPairs) -> list[str]:
        """In words, how many pictures of these pairs the plan does not have."""
        keys = set(pairs.pairs.table[self.role].unique().to_pylist())
        count = len(keys - self.versions.keys())
        return [counted(count, f"new {self.role}")] if count else []

    def differences(self, source: Source) -> list[str]:
        """In words, which pictures are gone from the source, or have another version there."""
        current = dict(zip(source.keys, source.versions or [""] * len(source.keys), strict=True))
        gone = [key for key in self.versions if key not in current]
        changed = [
            key
            for key, versions in self.versions.items()
            if current.get(key) and versions - {current[key], None}
        ]
        return [
            f"{counted(len(keys), self.role)} {word} ({_some(keys)})"
            for word, keys in (("changed", changed), ("gone", gone))
            if keys
        ]


def _some(keys: list[str]) -> str:
    first = ", ".join(shown(key)[:100] for key in sorted(keys)[:_EXAMPLES])
    return first + (", …" if len(keys) > _EXAMPLES else "")
