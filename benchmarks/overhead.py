"""The pipeline on Ray against the bare engine, on the same shards in one run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.apart import run_apart
from benchmarks.jobs import Clocked, run_job
from benchmarks.options import PipelineOptions
from benchmarks.pictures import draw_pictures
from benchmarks.scaling import occupation
from benchmarks.table import Table
from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.prepare import prepare
from styleid_ray.batch.stages.load import Load
from styleid_ray.batch.stages.shard import Shard
from styleid_ray.config import JobConfig
from styleid_ray.planning import shards_of


def measure_overhead(options: PipelineOptions) -> Table:
    """Both sides' pairs a second, and where the time of the pipeline's actors goes."""
    with tempfile.TemporaryDirectory() as folder:
        config = _config(options, Path(folder))
        bare = run_apart(_bare, config)
        ran = run_job(config)
    spent = occupation(ran)
    rows = [
        _row("bare engine", bare, sum(shard["stylize_seconds"] for shard in bare)),
        _row(
            f"pipeline on Ray, actors: {options.actors}",
            ran.shards,
            ran.committed[-1] - ran.began,
        ),
    ]
    for row, starting in zip(rows, (0.0, spent.starting), strict=True):
        row["ratio"] = row["pairs/s"] / rows[0]["pairs/s"]
        row["ratio, once begun"] = row["ratio"] / (1 - starting)
    model = sum(shard["model_seconds"] for shard in ran.shards)
    first, last = (pick(s[at] for s in ran.shards) for pick, at in ((min, "began"), (max, "ended")))
    share = model / (last - first) / options.actors
    stages = {name: sum(shard[f"{name}_seconds"] for shard in ran.shards) for name in _STAGES}
    return Table(
        "The pipeline on Ray against the bare engine",
        rows,
        [
            f"model {options.model}, {options.size} px, {options.steps} steps, {len(bare)} shards",
            "bare engine: one process with all cores, at the niceness of Ray's workers, pictures "
            "already loaded, nothing written; pipeline: loads, computes, encodes and writes, Ray "
            "being up",
            "CPU s/pair: of all threads while computing; unlike the others it does not depend on "
            "what else the machine does",
            f"once they have begun, the actors compute {spent.busy / (1 - spent.starting):.1%} of "
            f"the time; median gap between shards {spent.gap:.3f} s",
            f"the forwards of UNet and autoencoder are {share:.1%} of the actors' time from the "
            "first step to the last",
            f"of the actors' whole time: starting {spent.starting:.1%} (processes, model, first "
            f"pictures: a cost of each run, not of each pair), computing {spent.busy:.1%}, between "
            f"shards {spent.between:.1%}, ending {spent.ending:.1%}",
            "seconds in all shards: "
            + ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items())
            + "; loading and committing run beside computing",
        ],
    )


# Ray's workers give way to other processes. On a busy machine the bare engine has to do so too.
_RAYS_NICENESS = 15
_STAGES = ("load", "stylize", "commit")


def _row(name: str, shards: list[dict[str, float]], seconds: float) -> dict[str, Any]:
    pairs = sum(int(shard["done"]) for shard in shards)
    return {
        "": name,
        "pairs": pairs,
        "s": seconds,
        "pairs/s": pairs / seconds,
        "CPU s/pair": sum(shard["cpu_seconds"] for shard in shards) / pairs,
    }


def _config(options: PipelineOptions, folder: Path) -> JobConfig:
    content, style = options.content, options.style
    if not (content and style):
        content, style = draw_pictures(folder, options.contents, options.styles, options.size)
    return JobConfig(
        content=content,
        style=style,
        output=str(folder / "run"),
        model=options.model,
        size=options.size,
        steps=options.steps,
        shard_pairs=options.shard_pairs,
        actors=(options.actors, options.actors),
    )


def _bare(config: JobConfig) -> list[dict[str, float]]:
    """What each shard measures in this process, its pictures loaded before."""
    os.nice(_RAYS_NICENESS - os.nice(0))
    job = prepare(config)
    load = Load(job.contents, job.styles, config, job.checkpoint.factor)
    resources = Resources(1, 1, 0, 1)
    engine = Clocked(config, job.checkpoint.revision, resources)
    loaded = [load.load(Shard(name, pairs)) for name, pairs in shards_of(job.plan.table)]
    done = [engine.stylize(shard) for shard in loaded]
    return [shard.measures | {"done": shard.results.num_rows} for shard in done]
