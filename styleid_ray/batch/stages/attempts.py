"""A bound on restarts of a shard: Ray restarts it forever when its process dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from styleid_ray.batch.stages.shard import Done, Shard, shards_in
from styleid_ray.batch.watch.reporter import ATTEMPTS, Reporter
from styleid_ray.errors import JobError


def bounded(
    name: str, stage: Callable[[Shard], Shard | Done], board: Any
) -> Callable[[pa.Table], Iterator[pa.Table]]:
    """The stage on blocks, shown by Ray under `name`. It counts on the board how often it begins a
    shard, and passes on shards that were handed back."""

    def begin_and_do(block: pa.Table) -> Iterator[pa.Table]:
        reporter = Reporter(board)
        for shard in shards_in(block):
            if shard.handed_back:
                ids = tuple(shard.pairs["pair_id"].to_pylist())
                yield Done(shard.name, {}, handed_back=ids).to_block()
                continue
            if reporter.begun(name, shard.name) > ATTEMPTS:
                raise JobError(
                    f"shard {shard.name} ended the process of the {name.lower()} stage {ATTEMPTS} "
                    "times, for want of memory most often"
                )
            yield stage(shard).to_block()
            reporter.ended(name, shard.name)

    begin_and_do.__name__ = begin_and_do.__qualname__ = name
    return begin_and_do
