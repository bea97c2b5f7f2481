"""The first stage (CPU): the shards that are left. Apart from the others: it needs no torch."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import ray

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages.shard import Shard
from styleid_ray.planning import shards_of


class ReadPlan:
    """Names of plan parts to the shards in them that are not done.

    Args:
        output: where the plan is stored.
        done: reference to the sorted ids of finished pairs, in Ray's object store.
    """

    def __init__(self, output: Output, done: ray.ObjectRef) -> None:
        self.output = output
        self.done = done

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        done = ray.get(self.done)
        for name in block.column("part").to_pylist():
            for shard, pairs in shards_of(self.output.read_table(name), done):
                yield Shard(shard, pairs).to_block()
