"""Time and memory of loading one shard of large pictures."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.apart import run_apart
from benchmarks.options import LoadingOptions
from benchmarks.table import Table

_MIB = 2**20
_FACTOR = 64


def measure_loading(options: LoadingOptions) -> Table:
    """A shard of pictures of each number of megapixels, each in a process of its own."""
    rows: list[dict[str, Any]] = []
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory() as folder:
            file_size = _write_pictures(Path(folder), options.pictures, megapixels)
            figures = run_apart(_load, folder, options)
        rows.append({"megapixels": megapixels, "MiB a file": file_size / _MIB, **figures})
    payload = options.pictures * 3 * options.size**2 / _MIB
    return Table(
        f"Loading one shard of {options.pictures} pictures",
        rows,
        [
            "memory: the sum over the process and its children (PSS), in MiB, looked at every "
            f"{options.period:g} s, and above the time before",
            f"from files to the block that Ray gets: {payload:,.0f} MiB of pixels at working size",
        ],
    )


def _write_pictures(folder: Path, pictures: int, megapixels: float) -> int:
    """One JPEG photograph of noise under many names; returns its size in bytes."""
    import numpy as np
    from PIL import Image

    width = round((megapixels * 1e6 * 1.5) ** 0.5)
    coarse = np.random.default_rng(0).integers(0, 256, (width // 12, width // 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((width, width * 2 // 3), Image.Resampling.BICUBIC)
    first = folder / "content" / "0.jpg"
    first.parent.mkdir()
    picture.save(first, quality=95)
    for number in range(1, pictures - 1):
        os.link(first, folder / "content" / f"{number}.jpg")
    (folder / "style").mkdir()
    os.link(first, folder / "style" / "0.jpg")
    return first.stat().st_size


def _load(folder: str, options: LoadingOptions) -> dict[str, Any]:
    import pyarrow as pa

    from styleid_ray.batch.stages.load import Load
    from styleid_ray.batch.stages.shard import Shard
    from styleid_ray.config import JobConfig
    from styleid_ray.datasets.pictures import list_pictures

    places = {role: str(Path(folder) / role) for role in ("content", "style")}
    config = JobConfig(
        content=places["content"], style=places["style"], output=folder, size=options.size
    )
    contents, styles = (list_pictures(places[role], role) for role in places)
    keys = list(contents.keys)
    pairs = pa.table({"content": keys, "style": ["0.jpg"] * len(keys)})
    stage = Load(contents, styles, config, _FACTOR)
    before = _memory()
    peaks, ended = [before], threading.Event()

    def watch() -> None:
        while not ended.wait(options.period):
            peaks.append(_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    block = stage.load(Shard("shard", pairs)).to_block()
    seconds = time.perf_counter() - began
    ended.set()
    watcher.join()
    return {
        "s": seconds,
        "peak MiB": round(max(peaks) / _MIB),
        "above MiB": round((max(peaks) - before) / _MIB),
        "block MiB": round(block.nbytes / _MIB),
    }


def _memory() -> int:
    """Bytes of this process and all below it; what they share is counted once."""
    import psutil

    total = 0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it ended meanwhile
    return total
