"""The first stage (CPU): the pairs that are left. It needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages.shard import Shard
from styleid_ray.planning import packed, shards_of


class ReadPlan:
    """Entries of the work list to shards.

    An entry names a part of the plan, and either shards of it that are not finished, one row per
    shard in the entry's order, or the ids of pairs of it that failed or are made anew, one row for
    as many as a shard may hold. With those that are made anew it names parameters of the plan,
    gamma or temperature, that the job's own stand in for.

    Args:
        output: where the plan is stored.
        most_pairs, most_pictures: bounds of a row of such pairs.
    """

    def __init__(self, output: Output, most_pairs: int, most_pictures: int) -> None:
        self.output = output
        self.most_pairs, self.most_pictures = most_pairs, most_pictures

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        for entry in block.to_pylist():
            for shard in self.read(entry):
                yield shard.to_block()

    def read(self, entry: Mapping[str, Any]) -> Iterator[Shard]:
        """The rows of one entry."""
        part = self.output.read_table(entry["part"])
        if entry.get("pair_ids") is None:
            shards = dict(shards_of(_chosen(part, "shard", entry["shards"])))
            for name in entry["shards"]:
                yield Shard(name, shards[name])
            return
        chosen = _chosen(part, "pair_id", entry["pair_ids"])
        instead = entry.get("instead")
        for name in instead or ():
            at, kind = chosen.schema.get_field_index(name), chosen.schema.field(name)
            chosen = chosen.set_column(at, kind, pa.nulls(chosen.num_rows, kind.type))
        for names, pairs in packed(chosen, self.most_pairs, self.most_pictures):
            name = names[0] if len(names) == 1 else _joint(names)
            yield Shard(name, pairs, retry=True, remake=instead is not None)


def _chosen(part: pa.Table, column: str, values: list[str]) -> pa.Table:
    return part.filter(pc.field(column).isin(values))


def _joint(names: list[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more"
