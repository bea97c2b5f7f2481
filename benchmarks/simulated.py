"""A simulated device: an actor that waits as long as a GPU would compute, and loads no model."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from styleid_ray.batch.stages.shard import RESULTS, Shard, shards_in
from styleid_ray.config import JobConfig


def simulated(seconds: float) -> type:
    """A class to stand in for `Stylize`, which takes so many seconds for every shard."""
    return type("Simulated", (_Simulated,), {"seconds": seconds})


class _Simulated:
    """Takes the arguments of `Stylize`. Each result is the content's own picture. A shard's
    measures say when it was worked on (`began` and `ended`, seconds since the epoch) and by which
    process (`actor`)."""

    seconds: float

    def __init__(
        self, config: JobConfig, revision: str | None, resources: Any, board: Any = None
    ) -> None:
        self.device = threading.Lock()  # two calls are under way, and one device works

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        for shard in shards_in(block):
            yield self.stylize(shard).to_block()

    def stylize(self, shard: Shard) -> Shard:
        pictures = {(row["role"], row["key"]): row for row in shard.pictures.to_pylist()}
        results: list[dict[str, Any]] = [
            {name: pictures["content", key][name] for name in _PICTURE} | {"seconds": self.seconds}
            for key in shard.pairs.column("content").to_pylist()
        ]
        done = replace(
            shard,
            pictures=shard.pictures.slice(0, 0),
            results=pa.Table.from_pylist(results, schema=RESULTS),
        )
        with self.device:
            began = time.time()
            time.sleep(self.seconds)
        return done.measured(began=began, ended=time.time(), actor=os.getpid())


_PICTURE = ("pixels", "width", "height", "source_width", "source_height")
