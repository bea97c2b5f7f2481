"""Peak memory of a job's processes and of Ray's object store, while the pairs grow."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.apart import run_apart
from benchmarks.options import MemoryOptions
from benchmarks.pictures import draw_pictures
from benchmarks.table import Table

_STYLES = 10
_KINDS = ("driver", "actor", "light stage", "raylet and GCS", "object store")
_MIB = 2**20


def measure_memory(options: MemoryOptions) -> Table:
    """A run of each number of pairs, each with a driver and a Ray of its own."""
    rows: list[dict[str, Any]] = []
    for pairs in options.pairs:
        with tempfile.TemporaryDirectory() as folder:
            draw_pictures(Path(folder), max(1, pairs // _STYLES), _STYLES, options.size)
            rows.append(run_apart(_run, folder, options))
    written = max(options.pairs) * 3 * options.size**2 / _MIB
    return Table(
        "Peak memory while the pairs grow (SIMULATED devices)",
        rows,
        [
            "USS, the memory that is a process's own, in MiB, looked at every "
            f"{options.period:g} s; of several processes of a kind the largest at any time",
            f"driver: with torch loaded, as a job has it; actors ({options.actors}): simulated, "
            "without a model; light stages: reading the plan, loading and committing",
            "object store: what Ray says is in use (capacity less what is available)",
            f"pictures of {options.size} x {options.size}: the largest run makes "
            f"{written:,.0f} MiB of pixels",
        ],
    )


def _run(folder: str, options: MemoryOptions) -> dict[str, Any]:
    from benchmarks.jobs import run_job, simulated_cluster, simulated_job
    from benchmarks.simulated import simulated

    config = simulated_job(folder, options.size, options.actors)
    with simulated_cluster(options.actors), watched(options.period) as peaks:
        ran = run_job(config, simulated(options.shard_seconds))
    return {
        "pairs": ran.pairs,
        "shards": len(ran.shards),
        "wall s": ran.committed[-1] - ran.began,
        **{kind: round(peaks[kind] / _MIB) for kind in _KINDS},
    }


@contextmanager
def watched(period: float) -> Iterator[Counter[str]]:
    """The peaks in bytes, by kind, of this process, the Ray below it and its object store; they
    are complete once the block has ended."""
    peaks: Counter[str] = Counter()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(period):
            for kind, size in _look():
                peaks[kind] = max(peaks[kind], size)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _look() -> Iterator[tuple[str, int]]:
    """Kinds and bytes of what is there now."""
    import psutil
    import ray

    store = "object_store_memory"
    used = ray.cluster_resources().get(store, 0) - ray.available_resources().get(store, 0)
    yield "object store", int(used)
    me = psutil.Process(os.getpid())
    yield "driver", me.memory_full_info().uss
    for process in me.children(recursive=True):
        try:
            kind = _kind(" ".join(process.cmdline()))
            if kind:
                yield kind, process.memory_full_info().uss
        except psutil.Error:
            continue  # it ended meanwhile


def _kind(command: str) -> str | None:
    """What a process of Ray is, by its title."""
    if command.startswith("ray::"):
        return "actor" if "MapWorker" in command else "light stage"
    if "/raylet/raylet" in command or "/gcs/gcs_server" in command:
        return "raylet and GCS"
    return None
