"""Time and memory of planning, from a listing on disk to named shards."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.apart import peak_rss, run_apart
from benchmarks.options import PlanningOptions
from benchmarks.pictures import name_pictures
from benchmarks.table import Table
from styleid_ray.config import JobConfig, Pairing


def measure_planning(options: PlanningOptions) -> Table:
    """A plan of each number of pairs: crossed, random and of a table of URLs, each in a process of
    its own."""
    rows: list[dict[str, Any]] = []
    pairings: tuple[Pairing, ...] = ("cross", "random", "table")
    for pairing in pairings:
        for pairs in options.pairs:
            rows.append(_row(pairing, pairs, options))
    return Table(
        "Planning",
        rows,
        [
            "each plan in a process of its own: empty files in two folders are listed, or a "
            "Parquet table of URLs is read, pairs are made, cut into shards and named, and the "
            "parts of the plan made as they are stored",
            "memory: the most that the process had resident (VmHWM), interpreter and libraries "
            f"({_baseline():.2f} GiB) included",
            f"a plan that takes more than {options.limit:g} s has no figures",
        ],
    )


def _row(pairing: Pairing, pairs: int, options: PlanningOptions) -> dict[str, Any]:
    if pairing == "table":
        return _table_row(pairs, options)
    styles = min(options.styles, max(1, pairs // 10))
    drawn = styles if pairing == "cross" else max(1, styles // 10)
    contents = max(1, pairs // drawn)
    with tempfile.TemporaryDirectory() as folder:
        config = JobConfig(
            content=name_pictures(Path(folder) / "content", contents),
            style=name_pictures(Path(folder) / "style", styles),
            output=str(Path(folder) / "run"),
            pairing=pairing,
            styles_per_content=1 if pairing == "cross" else drawn,
        )
        figures = run_apart(_plan, config, limit=options.limit) or dict.fromkeys(_FIGURES)
    return {"pairing": pairing, "contents": contents, "styles": styles, **figures}


def _table_row(pairs: int, options: PlanningOptions) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    styles = min(options.styles, pairs)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "pairs.parquet")
        columns = {
            "content": [f"https://pictures.example/train/{i:09d}.jpg" for i in range(pairs)],
            "style": [f"https://pictures.example/art/{i % styles:09d}.jpg" for i in range(pairs)],
        }
        pq.write_table(pa.table(columns), file)
        config = JobConfig(pairing="table", table=file, output=str(Path(folder) / "run"))
        figures = run_apart(_plan, config, limit=options.limit) or dict.fromkeys(_FIGURES)
    return {"pairing": "table", "contents": pairs, "styles": styles, **figures}


_EVALUATION = 0.02
"""Seconds of a UNet evaluation of Stable Diffusion at 512 px, as planning assumes for a GPU."""
_FIGURES = ("pairs", "shards", "seconds", "s per million pairs", "peak GiB")


def _plan(config: JobConfig) -> dict[str, Any]:
    from styleid_ray.planning import name_pairs, write_parts

    began = time.perf_counter()
    plan = name_pairs(config, "0" * 16).cut(config)
    for _ in write_parts(plan):
        pass
    seconds = time.perf_counter() - began
    figures = plan.pairs, plan.shards, seconds, seconds / plan.pairs * 1e6, peak_rss() / 2**30
    return dict(zip(_FIGURES, figures, strict=True))


def _baseline() -> float:
    return run_apart(_nothing) / 2**30


def _nothing() -> int:
    import styleid_ray.planning  # noqa: F401

    return peak_rss()
