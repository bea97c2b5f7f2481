"""Time and memory of evaluating a run, beside the bare networks and the plain procedure."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.apart import run_apart
from benchmarks.options import EvaluatingOptions
from benchmarks.pictures import draw_pictures
from benchmarks.table import Table
from styleid_ray.config import DEMO_MODEL, JobConfig

_MIB = 2**20
_PERIOD = 1.0


def measure_evaluating(options: EvaluatingOptions) -> Table:
    """A made-up run of each number of contents, evaluated in a process of its own."""
    rows: list[dict[str, Any]] = []
    for contents in options.contents:
        with tempfile.TemporaryDirectory() as folder:
            draw_pictures(Path(folder), contents, options.styles, options.size)
            run_apart(_make_up, folder, options.size)
            plain = run_apart(_plain, folder, options.plain_pairs)
            measured = run_apart(_evaluate, folder)
            rows.append(
                {
                    "pairs": contents * options.styles,
                    "s": measured["s"],
                    "pairs/s": contents * options.styles / measured["s"],
                    "plain pairs/s": plain,
                    "driver MiB": measured["driver"],
                    "actor MiB": measured["actor"],
                    "object store MiB": measured["object store"],
                }
            )
    return Table(
        "Evaluating",
        rows,
        [
            f"{options.styles} styles, pictures of {options.size} x {options.size}, all six "
            "metrics; networks of the published shapes with made-up weights; seconds include the "
            "start of Ray's actors",
            "plain: the same functions in one process, pair by pair, with the features of content "
            f"and style computed anew each time, on {options.plain_pairs} pairs",
            "USS, the memory that is a process's own, looked at every second",
        ],
    )


def _job(folder: str, size: int = 256) -> JobConfig:
    return JobConfig(
        content=f"{folder}/content",
        style=f"{folder}/style",
        output=f"{folder}/run",
        model=DEMO_MODEL,
        size=size,
        picture_format="png",
        shard_pairs=200,
    )


def _make_up(folder: str, size: int) -> None:
    import torch

    from styleid_ray.batch.folder.output import PLAN, Output
    from styleid_ray.batch.folder.record import begin_run
    from styleid_ray.batch.prepare import prepare
    from styleid_ray.batch.stages.commit import Commit
    from styleid_ray.batch.stages.shard import RESULTS, Shard
    from styleid_ray.planning import shards_of
    from tests.evaluation.drawn import made_up_weights

    (Path(folder) / "weights").mkdir()
    for network, tensors in made_up_weights().items():
        torch.save(
            {name: torch.from_numpy(value) for name, value in tensors.items()},
            f"{folder}/weights/{network}.pth",
        )
    config = _job(folder, size)
    job, output = prepare(config), Output(config.output)
    begin_run(output, job, job.plan)
    commit = Commit(output, config, None)

    def blend(pair: dict[str, Any]) -> dict[str, Any]:
        content, style = (_read(folder, role, pair[role]) for role in ("content", "style"))
        pixels = (np.asarray(content, np.uint16) + np.asarray(style)) // 2
        sizes = {f"{of}{side}": size for of in ("", "source_") for side in ("width", "height")}
        return {"pixels": pixels.astype(np.uint8).tobytes(), "seconds": 0.0, **sizes}

    for part in output.files(PLAN):
        for name, pairs in shards_of(output.read_table(part)):
            results = pa.Table.from_pylist([blend(p) for p in pairs.to_pylist()], schema=RESULTS)
            commit.commit(Shard(name, pairs, results=results))


def _read(folder: str, role: str, key: str) -> Image.Image:
    return Image.open(f"{folder}/{role}/{key}").convert("RGB")


def _plain(folder: str, pairs: int) -> float:
    """Pairs a second without Ray and without anything kept."""
    import torch

    from styleid_ray.batch.cluster.resources import cores
    from styleid_ray.evaluation.meter import Meter
    from styleid_ray.evaluation.weights import load_weights

    torch.set_num_threads(cores())
    meter = Meter(load_weights(f"{folder}/weights").weights)
    contents, styles = (sorted((Path(folder) / role).iterdir()) for role in ("content", "style"))
    began = time.perf_counter()
    for i in range(pairs):
        content, style = contents[i % len(contents)].name, styles[i % len(styles)].name
        sources = {
            role: _read(folder, role, key) for role, key in (("content", content), ("style", style))
        }
        result = Image.blend(sources["content"], sources["style"], 0.5)
        meter.pair(result, (f"{i}", sources["content"]), (f"{i}", sources["style"]))
        meter.features([result])
        meter.features([sources["style"]])
    return pairs / (time.perf_counter() - began)


def _evaluate(folder: str) -> dict[str, Any]:
    import ray

    from benchmarks.memory import watched
    from styleid_ray.batch.cluster.resources import cores
    from styleid_ray.evaluation.evaluate import evaluate

    ray.init(address="local", num_cpus=cores() + 1, include_dashboard=False, log_to_driver=False)
    with watched(_PERIOD) as peaks:
        began = time.perf_counter()
        evaluate(f"{folder}/run", weights=f"{folder}/weights", stream=io.StringIO())
        seconds = time.perf_counter() - began
    ray.shutdown()
    return {"s": seconds} | {
        kind: round(peaks[kind] / _MIB) for kind in ("driver", "actor", "object store")
    }
