"""What a rule leaves out of an export, and which shards hold pairs that were made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.export.contents import Contents
from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.stages.schema import REMADE
from styleid_ray.config import digest
from styleid_ray.errors import OutputError
from styleid_ray.quality.rule import COLUMN, Rule
from styleid_ray.storage.locations import shown

_READERS = 16


@dataclass(frozen=True)
class ShardState:
    """What an export needs to know of a finished shard before it reads its pictures."""

    state: str = ""
    """Another one when other pairs of it are rejected, or when pairs were made again; '' for a
    shard of which neither is the case."""
    rejected: int = 0
    """Pairs that the rule rejects."""
    contents: Counter[str] = field(default_factory=Counter)
    """These by their contents."""


@dataclass(frozen=True)
class Rejected:
    """The finished shards of a run under a rule, if there is one.

    Args:
        rule: of the export.
        mark: whether rejected pairs are exported, with a column that says so.
        shards: by their names.
    """

    rule: Rule | None
    mark: bool
    shards: dict[str, ShardState]

    @classmethod
    def read(cls, output: Output, shards: Iterable[str], rule: Rule | None, mark: bool) -> Rejected:
        """Reads the foot of each shard's file, and with a rule the columns that it needs.

        Raises:
            OutputError: a file is damaged or cannot be read.
        """
        names = sorted(shards)
        with ThreadPoolExecutor(_READERS) as pool:
            states = pool.map(lambda name: _state(output, name, rule), names)
            return cls(rule, mark, dict(zip(names, states, strict=True)))

    @property
    def count(self) -> int:
        """Pairs that the rule rejects."""
        return sum(one.rejected for one in self.shards.values())

    def left_out(self, shard: str) -> int:
        """Pairs of a shard that are not exported because of the rule."""
        return 0 if self.mark else self.shards[shard].rejected

    def exported(self, contents: Contents) -> Contents:
        """The contents with the counts of the pairs that are exported."""
        total = Counter[str]()
        for one in () if self.mark else self.shards.values():
            total.update(one.contents)
        if not total:
            return contents
        fewer = np.array([total[key] for key in contents.source.keys], np.int64)
        return replace(contents, made=contents.made - fewer)

    @property
    def how(self) -> dict[str, Any]:
        """What of this decides how an export is made; empty without a rule."""
        marked = {"mark_rejected": True} if self.mark else {}
        return {"reject": str(self.rule), **marked} if self.rule else {}


def _state(output: Output, shard: str, rule: Rule | None) -> ShardState:
    name = data_file(shard)

    def read(f: Any) -> tuple[str, pa.Table | None]:
        file = pq.ParquetFile(f)
        remade = (file.schema_arrow.metadata or {}).get(REMADE, b"").decode()
        if rule is None or COLUMN not in file.schema_arrow.names:
            return remade, None
        return remade, file.read(columns=["pair_id", "content", COLUMN])

    try:
        remade, table = output.parsed(name, read)
    except (FileNotFoundError, pa.ArrowInvalid) as e:
        raise OutputError(
            f"{output.url}/{name} is damaged ({shown(str(e))}): verify --repair removes it, and "
            "stylize makes its pairs again"
        ) from e
    rejected = table.filter(rule.rejects(table)) if rule and table is not None else None
    if rejected is None or not rejected.num_rows:
        return ShardState(remade)
    ids = sorted(rejected["pair_id"].to_pylist())
    return ShardState(digest([remade, ids]), len(ids), Counter(rejected["content"].to_pylist()))
