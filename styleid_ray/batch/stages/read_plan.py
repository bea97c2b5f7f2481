"""The first stage (CPU): reads the pairs that are left from the plan. It needs no torch."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.stages.shard import Shard
from styleid_ray.planning import packed, shards_of


class ReadPlan:
    """Entries of the work list to shards.

    An entry names a part of the plan, and either its unfinished shards (`shards`) or its pairs that
    failed or are to be remade (`pair_ids`). Shards become one row each, in the entry's order; pairs
    are packed into rows of at most `most_pairs` and `most_pictures`. For a remake, `instead` names
    the parameters of the plan, gamma or temperature, that the job's own replace.
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
            chosen = part.filter(pc.field("shard").isin(entry["shards"]))
            shards = dict(shards_of(chosen))
            for name in entry["shards"]:
                yield Shard(name, shards[name])
            return
        chosen = part.filter(pc.field("pair_id").isin(entry["pair_ids"]))
        instead = entry.get("instead")
        for name in instead or ():
            at, kind = chosen.schema.get_field_index(name), chosen.schema.field(name)
            chosen = chosen.set_column(at, kind, pa.nulls(chosen.num_rows, kind.type))
        for names, pairs in packed(chosen, self.most_pairs, self.most_pictures):
            name = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            yield Shard(name, pairs, retry=True, remake=instead is not None)
