"""A bound on beginning a shard again: Ray begins it without end when its process dies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from styleid_ray.batch.stages.shard import Done, shards_in
from styleid_ray.batch.watch.reporter import ATTEMPTS, Reporter
from styleid_ray.errors import JobError


class Attempts:
    """A stage that counts on the board how often it begins a shard. A shard that no actor could
    work on passes by.

    Args:
        stage: the stage's name.
        work: blocks to blocks.
        board: where attempts are counted.
    """

    def __init__(
        self, stage: str, work: Callable[[pa.Table], Iterable[pa.Table]], board: Any
    ) -> None:
        self.stage, self.work, self.board = stage, work, board

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        reporter = Reporter(self.board)
        for row in range(block.num_rows):
            one = block.slice(row, 1)
            (name,), (handed_back,) = one["shard"].to_pylist(), one["handed_back"].to_pylist()
            if handed_back:
                (shard,) = shards_in(one)
                ids = tuple(shard.pairs["pair_id"].to_pylist())
                yield Done(name, {}, (), ids).to_block()
                continue
            if reporter.begun(self.stage, name) > ATTEMPTS:
                raise JobError(
                    f"shard {name} ended the process of the {self.stage} stage {ATTEMPTS} times, "
                    "for want of memory most often"
                )
            yield from self.work(one)
            reporter.ended(self.stage, name)
