"""The pipeline on Ray against the bare engine, on the same pairs in one run.

    python jobs/benchmark.py                                  # drawn pictures, the embedded model
    python jobs/benchmark.py --content photos --style art --model demo --actors 2

Prints one table and writes it as JSON. The bare engine computes the same shards one after the other
in this process with all cores, its pictures already loaded; the pipeline loads, computes, encodes
and writes on Ray with the actors asked for.
"""

from __future__ import annotations

import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the pipeline's actors have it

import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from styleid_ray.config import JobConfig
from styleid_ray.errors import StyleIDError


@dataclass
class Benchmark:
    """Options of the benchmark."""

    content: str | None = None
    """Content pictures; drawn ones when not given."""
    style: str | None = None
    """Style pictures; drawn ones when not given."""
    model: str = "demo"
    """Model of both sides."""
    size: int = 256
    """Working size in pixels."""
    steps: int = 50
    """DDIM steps."""
    actors: int = 1
    """Actors of the pipeline."""
    contents: int = 4
    """Pictures drawn as contents."""
    styles: int = 4
    """Pictures drawn as styles."""
    json: str = "out/benchmark.json"
    """Where the figures go."""


def main(options: Benchmark) -> None:
    """Runs both sides and prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        config = _config(options, Path(folder))
        rows = {"bare engine": _engine(config), "pipeline on Ray": _pipeline(config)}
    base = rows["bare engine"]["seconds"]
    print(
        f"\n{'':<18}{'pairs':>7}{'UNet evaluations':>18}{'seconds':>10}{'pairs/s':>10}{'ratio':>8}"
    )
    for name, row in rows.items():
        row["throughput_ratio"] = round(base / row["seconds"], 3)
        print(
            f"{name:<18}{row['pairs']:>7}{row['unet_evaluations']:>18,}{row['seconds']:>10.1f}"
            f"{row['pairs'] / row['seconds']:>10.3f}{row['throughput_ratio']:>8.2f}"
        )
    found = {"options": vars(options), "machine": _machine(), "rows": rows}
    Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(options.json).write_text(json.dumps(found, indent=2))
    print(f"written to {options.json}")


def _config(options: Benchmark, folder: Path) -> JobConfig:
    if not (options.content and options.style):
        _draw(options, folder)
    return JobConfig(
        content=options.content or str(folder / "content"),
        style=options.style or str(folder / "style"),
        output=str(folder / "run"),
        model=options.model,
        size=options.size,
        steps=options.steps,
        actors=(options.actors, options.actors),
    )


def _draw(options: Benchmark, folder: Path) -> None:
    from styleid_ray.models.drawing import draw_content, draw_style

    for role, draw, count in (
        ("content", draw_content, options.contents),
        ("style", draw_style, options.styles),
    ):
        (folder / role).mkdir()
        for seed in range(count):
            draw(seed, options.size).save(folder / role / f"{seed}.png")


def _engine(config: JobConfig) -> dict[str, Any]:
    """The engine alone: the time of the shards' stylisation, pictures loaded before."""
    from styleid_ray.batch.load import Load
    from styleid_ray.batch.prepare import prepare
    from styleid_ray.batch.shard import Shard
    from styleid_ray.batch.stylize import Stylize
    from styleid_ray.planning import shards_of

    job = prepare(config)
    load = Load(job.plan.contents, job.plan.styles, config, job.checkpoint.factor)
    engine = Stylize(config, job.checkpoint.revision, os.cpu_count() or 1)
    loaded = [load.load(Shard(name, pairs)) for name, pairs in shards_of(job.plan.table, ())]
    began = time.perf_counter()
    done = [engine.stylize(shard) for shard in loaded]
    return {
        "pairs": sum(shard.results.num_rows for shard in done),
        "unet_evaluations": engine.pipe.unet_evaluations,
        "seconds": time.perf_counter() - began,
    }


def _pipeline(config: JobConfig) -> dict[str, Any]:
    """The whole job: from the start of its actors to its last committed file, Ray already up."""
    from styleid_ray.batch.run import stylize

    session = stylize(config).session
    return {
        "pairs": int(session["done"]),
        "unet_evaluations": int(session["unet_evaluations"]),
        "seconds": session["seconds"],
        "stages": {k: v for k, v in session.items() if k.endswith("_seconds")},
    }


def _machine() -> dict[str, Any]:
    import ray
    import torch

    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "ray": ray.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    try:
        main(tyro.cli(Benchmark, description=__doc__))
    except StyleIDError as e:
        sys.exit(f"error: {e}")
