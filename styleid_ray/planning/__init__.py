"""From sources of pictures to a plan: pairs, their shards, and what they cost."""

from styleid_ray.planning.cost import Cost, estimate
from styleid_ray.planning.identity import pair_ids, shard_name
from styleid_ray.planning.pace import Pace
from styleid_ray.planning.pairing import Pairs, make_pairs
from styleid_ray.planning.plan import (
    NamedPairs,
    Plan,
    name_pairs,
    packed,
    plan_digest,
    shards_of,
    write_parts,
)
from styleid_ray.planning.shards import assign_shards
from styleid_ray.planning.sources import Source, list_pictures, read_bytes, skipped_line
from styleid_ray.planning.table import RESERVED

__all__ = [
    "RESERVED",
    "Cost",
    "NamedPairs",
    "Pace",
    "Pairs",
    "Plan",
    "Source",
    "assign_shards",
    "estimate",
    "list_pictures",
    "make_pairs",
    "name_pairs",
    "packed",
    "pair_ids",
    "plan_digest",
    "read_bytes",
    "shard_name",
    "shards_of",
    "skipped_line",
    "write_parts",
]
