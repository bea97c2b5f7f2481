"""The plan: every pair of a job, with its id and the shard that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from styleid_ray.config import JobConfig, ResolvedParams
from styleid_ray.planning.columns import codes, key_column, plain
from styleid_ray.planning.cost import Cost, estimate
from styleid_ray.planning.identity import (
    ID_LENGTH,
    hex_ids,
    id_array,
    id_column,
    ids_digest,
    pair_digests,
    shard_name,
    text_digests,
)
from styleid_ray.planning.pairing import Pairs, make_pairs
from styleid_ray.planning.shards import assign_shards, pairs_a_shard
from styleid_ray.planning.sources import Source
from styleid_ray.storage.locations import Options

_CHUNK = 2**20


@dataclass(frozen=True)
class Plan:
    """All pairs of a job, shard after shard."""

    table: pa.Table
    """Columns pair_id, content, style, k, shard, gamma, temperature, and those passed through
    from a table of pairs. Content, style and shard are Arrow dictionaries of strings."""
    contents: Source
    styles: Source
    groups: np.ndarray | None = None
    """The group of each content, as in `Pairs`."""

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.table.num_rows

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(_starts(self.table["shard"]))

    def cost(self, params: ResolvedParams) -> Cost:
        """What the plan costs with these parameters."""
        return estimate(self.table, params)


def build_plan(
    config: JobConfig, fingerprint: str, storage_options: Options = None, workers: int = 1
) -> Plan:
    """Plan a job: list, pair, name, cut into shards. The same inputs always give the same plan.

    Args:
        config: sources, pairing and shard bounds.
        fingerprint: of everything that decides a result besides its pair.
        storage_options: what the sources' filesystem is opened with.
        workers: how many will work on the shards at once.

    Raises:
        SourceError: a source or the table is missing, empty or inconsistent.
    """
    pairs = make_pairs(config, storage_options)
    return _cut(pairs, _ids(pairs, fingerprint), config.shard_pairs, workers)


def recut_plan(plan: Plan, shard_pairs: int, workers: int) -> Plan:
    """The same pairs in shards for so many workers."""
    table = plan.table.drop_columns(["pair_id", "shard"])
    pairs = Pairs(plan.contents, plan.styles, table, plan.groups)
    return _cut(pairs, id_array(plan.table["pair_id"]), shard_pairs, workers)


def plan_digest(plan: Plan) -> str:
    """Hash of a plan's pairs, however they are cut into shards: 32 hexadecimal digits."""
    return ids_digest(id_array(plan.table["pair_id"]))


def write_parts(plan: Plan, rows_per_part: int = 65536) -> Iterator[tuple[str, pa.Table]]:
    """Cut a plan into tables for one Parquet file each. No shard is split.

    Args:
        rows_per_part: most pairs of a part, unless a single shard has more.

    Yields:
        The file's name, part-00000.parquet and so on, and its table; keys and shards are plain
        strings, as every reader expects them.
    """
    ends = np.append(_starts(plan.table["shard"])[1:], plan.pairs)
    start = number = 0
    while start < plan.pairs:
        fits = np.searchsorted(ends, start + rows_per_part, side="right") - 1
        end = int(ends[max(fits, np.searchsorted(ends, start, side="right"))])
        yield f"part-{number:05d}.parquet", plain(plan.table.slice(start, end - start))
        start, number = end, number + 1


def shards_of(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The shards of a plan's table, or of a part of it, in order: name and pairs.

    Args:
        table: whole shards, shard after shard; of each shard some pairs may have been left out.
    """
    starts = _starts(table["shard"])
    for start, end in pairwise([*starts.tolist(), table.num_rows]):
        shard = plain(table.slice(start, end - start))
        yield shard["shard"][0].as_py(), shard


def packed(
    table: pa.Table, most_pairs: int, most_pictures: int
) -> Iterator[tuple[list[str], pa.Table]]:
    """The shards of a table as `shards_of` gives them, several small ones together.

    Yields:
        The shards' names and their pairs: at most `most_pairs` of at most `most_pictures` distinct
        pictures, unless a single shard has more.
    """
    names: list[str] = []
    pictures: set[tuple[str, str]] = set()
    start = end = 0
    for name, shard in shards_of(table):
        new = {(role, k) for role in ("content", "style") for k in shard[role].to_pylist()}
        over = end + shard.num_rows - start > most_pairs or len(pictures | new) > most_pictures
        if names and over:
            yield names, plain(table.slice(start, end - start))
            names, pictures, start = [], set(), end
        names.append(name)
        pictures |= new
        end += shard.num_rows
    if names:
        yield names, plain(table.slice(start, end - start))


def _cut(pairs: Pairs, ids: np.ndarray, shard_pairs: int, workers: int) -> Plan:
    """The plan of pairs whose ids [P] are known."""
    content, style = codes(pairs.table["content"]), codes(pairs.table["style"])
    groups = None if pairs.groups is None else pairs.groups[content]
    most = pairs_a_shard(len(ids), shard_pairs, workers)
    shards = assign_shards(content, style, most, groups)
    order = np.argsort(shards, kind="stable")
    table, ids, shards = pairs.table.take(pa.array(order)), ids[order], shards[order]
    columns = {
        "pair_id": id_column(ids),
        "content": table["content"],
        "style": table["style"],
        "k": table["k"],
        "shard": pa.chunked_array([key_column(shards, _names(ids, shards))]),
    }
    rest = {name: table[name] for name in table.column_names if name not in columns}
    return Plan(pa.table({**columns, **rest}), pairs.contents, pairs.styles, pairs.groups)


def _ids(pairs: Pairs, fingerprint: str) -> np.ndarray:
    """Ids [P] of the pairs."""
    contents, styles = text_digests(pairs.contents.keys), text_digests(pairs.styles.keys)
    table = pairs.table
    content, style = codes(table["content"]), codes(table["style"])
    k = table["k"].to_numpy()
    own = [
        None if table[name].null_count == table.num_rows else table[name].to_numpy()
        for name in ("gamma", "temperature")
    ]
    ids = np.empty(table.num_rows, f"S{ID_LENGTH}")
    for i in range(0, table.num_rows, _CHUNK):
        p = slice(i, i + _CHUNK)
        gamma, temperature = (None if column is None else column[p] for column in own)
        ids[p] = hex_ids(
            pair_digests(
                contents[content[p]], styles[style[p]], k[p], gamma, temperature, fingerprint
            )
        )
    return ids


def _names(ids: np.ndarray, shards: np.ndarray) -> list[str]:
    """The names of shards 0, 1, 2 ..., from their pairs' ids in shard order."""
    bounds = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
    return [shard_name(ids[start:end]) for start, end in pairwise(bounds)]


def _starts(shard: pa.ChunkedArray) -> np.ndarray:
    """Rows at which a shard begins."""
    shards = codes(shard)
    return np.flatnonzero(np.r_[True, shards[1:] != shards[:-1]]) if len(shards) else shards
