"""Time and memory of resuming a finished run, which has nothing left to do."""

from __future__ import annotations

import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.apart import peak_rss, run_apart
from benchmarks.options import ResumingOptions
from benchmarks.table import Table
from styleid_ray.config import DEMO_MODEL, JobConfig

_PART_SHARDS = 327
"""Shards of 200 pairs in a part of a plan."""


def measure_resuming(options: ResumingOptions) -> Table:
    """A made-up run of each number of shards is resumed, each in a process of its own."""
    rows: list[dict[str, Any]] = []
    for shards in options.shards:
        with tempfile.TemporaryDirectory() as folder:
            config = JobConfig(content="gone", style="gone", output=folder, model=DEMO_MODEL)
            _make_up(Path(folder), config, shards, options.shard_pairs)
            rows.append({"shards": shards, **run_apart(_resume, config)})
    return Table(
        "Resuming",
        rows,
        [
            "a plan as it is stored, with a data file without content for each shard, on a disk; "
            "sources and model do not exist",
            "seconds: from the call to its return; memory: the most that the process had resident "
            "(VmHWM), interpreter and libraries included",
        ],
    )


def _make_up(folder: Path, config: JobConfig, shards: int, pairs: int) -> None:
    (folder / "_run" / "plan").mkdir(parents=True)
    (folder / "data").mkdir()
    rng = np.random.default_rng(0)
    for part, start in enumerate(range(0, shards, _PART_SHARDS)):
        names = [f"shard-{n:016x}" for n in range(start, min(start + _PART_SHARDS, shards))]
        rows = len(names) * pairs
        ids = rng.bytes(16 * rows).hex()
        table = pa.table(
            {
                "pair_id": [ids[at : at + 32] for at in range(0, len(ids), 32)],
                "content": [f"{n}.jpg" for n in range(rows)],
                "style": [f"{n % 1000}.jpg" for n in range(rows)],
                "shard": np.repeat(names, pairs),
            }
        )
        pq.write_table(table, folder / f"_run/plan/part-{part:05d}.parquet", compression="zstd")
        for name in names:
            os.close(os.open(folder / "data" / f"{name}.parquet", os.O_CREAT | os.O_WRONLY))
    record = {
        "layout": 2,
        "identity": config.identity() | {"model": f"{DEMO_MODEL} 0123456789abcdef"},
        "plan": {"pairs": shards * pairs, "shards": shards},
        "model": {},
        "config": {},
    }
    (folder / "_run" / "config.yaml").write_text(yaml.safe_dump(record))


def _resume(config: JobConfig) -> dict[str, Any]:
    from styleid_ray.batch.run import stylize

    began = time.perf_counter()
    summary = stylize(config, io.StringIO())
    assert summary.done == summary.planned
    seconds = time.perf_counter() - began
    return {"pairs": summary.planned, "seconds": seconds, "peak GiB": peak_rss() / 2**30}
