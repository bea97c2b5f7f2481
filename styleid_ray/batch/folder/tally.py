"""Progress of a run: its plan compared with one listing of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from styleid_ray.batch.folder.failures import Failures, read_failures
from styleid_ray.batch.folder.output import PLAN, Output, read_each
from styleid_ray.batch.folder.work import Work, sampled_order

Parts = dict[str, dict[str, int]]
"""Pairs by shard, by part of the plan."""


@dataclass(frozen=True)
class Tally:
    """Counts of a run's pairs. A pair that failed and was done later counts as done."""

    parts: Parts
    finished: set[str]
    """Names of the shards in `data/`."""
    failures: Failures

    @classmethod
    def read(cls, output: Output, parts: Parts | None = None) -> Tally:
        """Reads the plan's column of shards (unless its `parts` are given), the listing of `data/`,
        and the files of `errors/`."""
        parts = parts or read_parts(output)
        finished = output.finished()
        planned = finished & set().union(*parts.values())
        return cls(parts, finished, read_failures(output, planned))

    @property
    def planned(self) -> int:
        """All pairs."""
        return sum(self.pairs.values())

    @property
    def missing(self) -> int:
        """Pairs of shards that are not finished."""
        return sum(pairs for shard, pairs in self.pairs.items() if shard not in self.finished)

    @property
    def failed(self) -> int:
        """Pairs that failed and have not been done since."""
        return self.failures.count

    @property
    def done(self) -> int:
        """Pairs with a picture."""
        return self.planned - self.missing - self.failed

    @property
    def unplanned(self) -> set[str]:
        """Shards in `data/` that are not in the plan."""
        return self.finished - self.pairs.keys()

    @cached_property
    def pairs(self) -> dict[str, int]:
        """Pairs of each shard of the plan."""
        return {shard: pairs for shards in self.parts.values() for shard, pairs in shards.items()}

    def left(self) -> Work:
        """Unfinished shards, in an order in which a stopped run is a sample of the whole."""
        shards = [(part, shard) for part, shards in self.parts.items() for shard in shards]
        left = (entry for entry in sampled_order(shards) if entry[1] not in self.finished)
        return [
            {"part": part, "shards": [shard for _, shard in neighbours]}
            for part, neighbours in groupby(left, key=lambda entry: entry[0])
        ]

    def to_retry(self) -> Work:
        """Failed pairs of finished shards."""
        return self.again(self.failures.ids)

    def again(self, ids: Mapping[str, list[str]]) -> Work:
        """Some pairs of finished shards, given by shard."""
        chosen = {
            part: [i for shard in shards for i in ids.get(shard, ())]
            for part, shards in self.parts.items()
        }
        return [{"part": part, "pair_ids": pairs} for part, pairs in chosen.items() if pairs]


def read_parts(output: Output) -> Parts:
    """The shards of the stored plan; raises OutputError when a part is damaged."""

    def shards(name: str) -> dict[str, int]:
        counts = output.plan_part(name, ["shard"])["shard"].value_counts()
        return {entry["values"]: entry["counts"] for entry in counts.to_pylist()}

    return dict(read_each(shards, output.files(PLAN)))
