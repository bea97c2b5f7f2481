"""The plan: every pair of a job, with its id and the shard that it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from styleid_ray.config import JobConfig, ResolvedParams
from styleid_ray.planning.columns import codes, key_column, plain
from styleid_ray.planning.cost import Cost, estimate
from styleid_ray.planning.identity import (
    ID_LENGTH,
    hex_array,
    hex_ids,
    pair_digests,
    shard_name,
    text_digests,
)
from styleid_ray.planning.pairing import Pairs, make_pairs
from styleid_ray.planning.shards import assign_shards
from styleid_ray.planning.sources import Source
from styleid_ray.planning.urls import Options

_CHUNK = 2**20


@dataclass(frozen=True)
class Plan:
    """All pairs of a job, shard after shard."""

    table: pa.Table
    """Columns pair_id, content, style, k, shard, gamma, temperature, and those passed through
    from a table of pairs. Content, style and shard are Arrow dictionaries of strings."""
    contents: Source
    styles: Source

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


def build_plan(config: JobConfig, fingerprint: str, storage_options: Options = None) -> Plan:
    """Plan a job: list, pair, shard, name. The same inputs always give the same plan.

    Args:
        config: sources, pairing and shard bounds.
        fingerprint: of everything that decides a result besides its pair.
        storage_options: what the sources' filesystem is opened with.

    Raises:
        SourceError: a source or the table is missing, empty or inconsistent.
    """
    pairs = make_pairs(config, storage_options)
    content, style = codes(pairs.table["content"]), codes(pairs.table["style"])
    shards = assign_shards(content, style, config.shard_contents, config.shard_styles)
    order = np.argsort(shards, kind="stable")
    table, shards = pairs.table.take(pa.array(order)), shards[order]
    digests = _digests(pairs, table, fingerprint)
    columns = {
        "pair_id": pa.chunked_array([hex_array(chunk) for chunk in digests], pa.string()),
        "content": table["content"],
        "style": table["style"],
        "k": table["k"],
        "shard": pa.chunked_array([key_column(shards, _names(digests, shards))]),
    }
    rest = {name: table[name] for name in table.column_names if name not in columns}
    return Plan(pa.table({**columns, **rest}), pairs.contents, pairs.styles)


def plan_digest(plan: Plan) -> str:
    """Hash of a plan's pairs and shards in their order: 16 hexadecimal digits."""
    digest = hashlib.blake2b(_starts(plan.table["shard"]).astype("<i8").tobytes(), digest_size=8)
    for chunk in plan.table["pair_id"].chunks:
        digest.update(_id_array(chunk).tobytes())
    return digest.hexdigest()


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


def shards_of(
    table: pa.Table, done: Collection[str] | np.ndarray
) -> Iterator[tuple[str, pa.Table]]:
    """The shards that remain to be done, in order.

    A shard of which some pairs are done is renamed after those that are left, so that its file
    does not replace the one that holds the others.

    Args:
        table: a plan's table or a part of it, whole shards, shard after shard.
        done: ids of the pairs that need not be done: a set, or a sorted array.

    Yields:
        The shard's name, and its remaining pairs; its shard column has the new name too.
    """
    starts = _starts(table["shard"])
    left = _left(table["pair_id"], done)
    ends = np.append(starts[1:], table.num_rows)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        remaining = left[start:end]
        if not remaining.any():
            continue
        shard = plain(table.slice(start, end - start))
        if remaining.all():
            yield shard["shard"][0].as_py(), shard
            continue
        shard = shard.filter(pa.array(remaining))
        name = shard_name(shard["pair_id"].to_pylist())
        column = pa.array([name] * shard.num_rows, pa.string())
        yield name, shard.set_column(shard.schema.get_field_index("shard"), "shard", column)


def _digests(pairs: Pairs, table: pa.Table, fingerprint: str) -> list[bytes]:
    """Digests of the pairs, in chunks of `_CHUNK` pairs."""
    contents, styles = text_digests(pairs.contents.keys), text_digests(pairs.styles.keys)
    content, style = codes(table["content"]), codes(table["style"])
    k = table["k"].to_numpy()
    own = [
        None if table[name].null_count == table.num_rows else table[name].to_numpy()
        for name in ("gamma", "temperature")
    ]
    digests: list[bytes] = []
    for i in range(0, table.num_rows, _CHUNK):
        p = slice(i, i + _CHUNK)
        gamma, temperature = (None if column is None else column[p] for column in own)
        digests.append(
            pair_digests(
                contents[content[p]], styles[style[p]], k[p], gamma, temperature, fingerprint
            )
        )
    return digests


def _names(digests: list[bytes], shards: np.ndarray) -> list[str]:
    """The names of shards 0, 1, 2 ..., from their pairs' digests in shard order."""
    names: list[str] = []
    ids: list[str] = []
    position = 0
    ends = np.append(np.flatnonzero(np.diff(shards)) + 1, len(shards))
    done = 0
    for chunk in digests:
        ids = ids[position - done :] + hex_ids(chunk)
        done = position
        upto = np.searchsorted(ends, done + len(ids), side="right")
        for end in ends[len(names) : upto].tolist():
            names.append(shard_name(ids[position - done : end - done]))
            position = end
    return names


def _starts(shard: pa.ChunkedArray) -> np.ndarray:
    """Rows at which a shard begins."""
    shards = codes(shard)
    return np.flatnonzero(np.r_[True, shards[1:] != shards[:-1]]) if len(shards) else shards


def _left(pair_id: pa.ChunkedArray, done: Collection[str] | np.ndarray) -> np.ndarray:
    if not isinstance(done, np.ndarray):
        return np.array([i not in done for i in pair_id.to_pylist()], bool)
    if not len(done):
        return np.ones(len(pair_id), bool)
    ids = _id_array(pair_id)
    finished = done.astype(ids.dtype)
    place = np.minimum(np.searchsorted(finished, ids), len(finished) - 1)
    return finished[place] != ids


def _id_array(pair_id: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Ids [P] as fixed-width bytes, which numpy compares and sorts as they are."""
    return np.array(pair_id.cast(pa.binary()).to_numpy(zero_copy_only=False), f"S{ID_LENGTH}")
