"""Pairs that a rule excludes from an export, and shards with remade pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.export.contents import Contents
from styleid_ray.batch.folder.output import REMADE, Output, data_file
from styleid_ray.config import digest
from styleid_ray.errors import OutputError
from styleid_ray.quality.columns import COLUMN
from styleid_ray.quality.rule import Rule
from styleid_ray.storage.locations import shown

_READERS = 16


@dataclass(frozen=True)
class ShardState:
    """Facts on a finished shard that an export needs before it reads the pictures."""

    state: str = ""
    """Changes with the rejected pairs and with remade ones; '' for a shard without both."""
    rejected: tuple[str, ...] = ()
    """Ids of the pairs that the rule rejects."""
    contents: Counter[str] = field(default_factory=Counter)
    """Number of rejected pairs by content."""
    measured: frozenset[str] = frozenset()
    """Measures of the rule that have a value in some row."""


@dataclass(frozen=True)
class Rejected:
    """The finished shards of a run under a rule, if there is one."""

    rule: Rule | None
    mark: bool
    """Whether rejected pairs are exported and marked in a column."""
    shards: dict[str, ShardState]
    """By name."""

    @classmethod
    def read(cls, output: Output, shards: Iterable[str], rule: Rule | None, mark: bool) -> Rejected:
        """Reads the footer of each shard's file and, with a rule, its quality column.

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
        return sum(len(one.rejected) for one in self.shards.values())

    @property
    def without_value(self) -> tuple[str, ...]:
        """Measures of the rule without a value in any pair, whose conditions reject nothing."""
        measured = frozenset[str]().union(*(one.measured for one in self.shards.values()))
        return tuple(name for name in self.rule.names if name not in measured) if self.rule else ()

    def left_out(self, shard: str) -> int:
        """Number of pairs of a shard that the rule excludes."""
        return 0 if self.mark else len(self.shards[shard].rejected)

    def exported(self, contents: Contents) -> Contents:
        """The contents with the counts of exported pairs."""
        total = Counter[str]()
        for one in () if self.mark else self.shards.values():
            total.update(one.contents)
        if not total:
            return contents
        fewer = np.array([total[key] for key in contents.source.keys], np.int64)
        return replace(contents, made=contents.made - fewer)

    def absent(self, failed: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Ids of the planned pairs that are left out, by shard: rejected and `failed` ones; empty
        if no rule excludes any."""
        if self.rule is None or self.mark:
            return {}
        return {
            name: sorted({*one.rejected, *failed.get(name, ())})
            for name, one in self.shards.items()
        }

    def holds(self, absent: Mapping[str, Iterable[str]]) -> bool:
        """Whether an existing export, which lacks the `absent` pairs, holds a pair that is now
        excluded."""
        return not self.mark and any(
            set(self.shards[name].rejected) - set(ids)
            for name, ids in absent.items()
            if name in self.shards
        )

    @property
    def how(self) -> dict[str, Any]:
        """The rule's part of the facts that define an export; empty without a rule."""
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
    if rule is None or table is None:
        return ShardState(remade)
    rejected, measured = table.filter(rule.rejects(table)), frozenset(rule.measured(table))
    if not rejected.num_rows:
        return ShardState(remade, measured=measured)
    ids = sorted(rejected["pair_id"].to_pylist())
    contents = Counter(rejected["content"].to_pylist())
    return ShardState(digest([remade, ids]), tuple(ids), contents, measured)
