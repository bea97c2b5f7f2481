"""A bound on restarts of a shard: Ray restarts it forever when its process dies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from styleid_ray.batch.stages.shard import Done, shards_in
from styleid_ray.batch.watch.reporter import ATTEMPTS, Reporter
from styleid_ray.errors import JobError

Stage = Callable[[pa.Table], Iterable[pa.Table]]
"""Blocks to blocks."""


def bounded(name: str, stage: Stage, board: Any) -> Callable[[pa.Table], Iterator[pa.Table]]:
    """The stage, which counts on the board how often it begins a shard, and lets a shard pass by
    that no actor could work on. Ray shows it under the name."""

    def begin_and_do(block: pa.Table) -> Iterator[pa.Table]:
        reporter = Reporter(board)
        for row in range(block.num_rows):
            one = block.slice(row, 1)
            (shard,), (handed_back,) = one["shard"].to_pylist(), one["handed_back"].to_pylist()
            if handed_back:
                (undone,) = shards_in(one)
                ids = tuple(undone.pairs["pair_id"].to_pylist())
                yield Done(shard, {}, (), ids).to_block()
                continue
            if reporter.begun(name, shard) > ATTEMPTS:
                raise JobError(
                    f"shard {shard} ended the process of the {name.lower()} stage {ATTEMPTS} "
                    "times, for want of memory most often"
                )
            yield from stage(one)
            reporter.ended(name, shard)

    begin_and_do.__name__ = begin_and_do.__qualname__ = name
    return begin_and_do
