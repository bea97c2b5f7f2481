"""From sources of pictures to a plan: pairs, their shards and their cost."""

from styleid_ray.planning.cost import Cost, estimate
from styleid_ray.planning.identity import shard_name
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
from styleid_ray.planning.table import RESERVED
