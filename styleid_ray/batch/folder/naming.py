"""What runs and shards are called.

A shard's files say what they are: the name follows from the pairs that were tried together.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from styleid_ray.planning import shard_name
from styleid_ray.storage.secrets import without_secrets

_OTHERS = b"styleid_ray.others"


def run_name(output: str) -> str:
    """What a run is called where it is told from others: the URL of its output, without secrets."""
    return without_secrets(output.rstrip("/") or output)


def labelled(table: pa.Table, others: Iterable[str]) -> pa.Table:
    """A shard's table that also knows its `others`: ids of the shard's pairs that are not in it.

    Of a shard with failed pairs, `data/` has some and `errors/` the others; one name is right for
    both only with all of them.
    """
    metadata = {**(table.schema.metadata or {}), _OTHERS: " ".join(sorted(others)).encode()}
    return table.replace_schema_metadata(metadata)


def others(schema: pa.Schema) -> list[str]:
    """Ids of the pairs of the same shard that a file does not have."""
    return (schema.metadata or {}).get(_OTHERS, b"").decode().split()


def name_of(ids: np.ndarray, schema: pa.Schema) -> str:
    """The name that a file with these pairs (bytes, S32) and this schema must have."""
    return shard_name(np.concatenate([ids, np.array(others(schema), "S32")]))
