from __future__ import annotations

import pyarrow as pa

from styleid_ray.batch.stages.shard import Shard, shards_in


def test_a_shard_survives_the_way_through_a_block_whatever_its_columns() -> None:
    pairs = pa.table(
        {
            "pair_id": ["1", "2"],
            "when": pa.array([0, 1], pa.timestamp("ms")),
            "boxes": pa.array([[], [[1, 2]]], pa.list_(pa.list_(pa.int8()))),
            "nothing": pa.nulls(2),
        }
    )
    shard = Shard("shard-1", pairs).measured(load_seconds=0.5)
    block = pa.concat_tables([shard.to_block(), Shard("shard-2", pairs.slice(1)).to_block()])
    first, second = shards_in(block)
    assert first == shard
    assert second.pairs.to_pylist() == pairs.to_pylist()[1:]
