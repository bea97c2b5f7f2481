"""The plan: every pair of a job, with its id and its shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.config import JobConfig, ResolvedParams
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.planning.choice import NOTHING, Earlier
from styleid_ray.planning.columns import (
    all_styles,
    codes,
    combinations,
    count_distinct,
    further_styles,
    key_column,
    plain,
    style_columns,
)
from styleid_ray.planning.cost import Cost, estimate, picture_counts
from styleid_ray.planning.further_styles import with_styles
from styleid_ray.planning.identity import id_array, id_column, ids_digest, ids_of, shard_name
from styleid_ray.planning.mask_names import with_mask_names
from styleid_ray.planning.pace import Pace, evaluations
from styleid_ray.planning.pairing import Pairs, make_pairs
from styleid_ray.planning.shards import assign_shards, assign_variants, most_pictures
from styleid_ray.planning.variants import count_variants, pair_numbers, with_variants


@dataclass(frozen=True)
class Plan:
    """All pairs of a job, shard after shard."""

    table: pa.Table
    """Columns pair_id, content, style, k, shard, content_version, style_version, content_place,
    style_place, gamma, temperature, and those passed through from a table of pairs. Content, style,
    their versions and places, and shard are Arrow dictionaries of strings; a version is null where
    the listing has none, a place where the picture is a file of its own. If a table names further
    styles: style2, style2_version, style2_place and so on, and their weight."""
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

    def cost(self, params: ResolvedParams | None, windows: int = 1) -> Cost:
        """Cost of the plan, as of `cost.estimate`."""
        return estimate(self.table, params, windows)


@dataclass(frozen=True)
class NamedPairs:
    """Pairs with their ids, before they are cut into shards."""

    pairs: Pairs
    ids: np.ndarray
    """[P], 32 ASCII digits each."""

    def without(self, known: np.ndarray) -> NamedPairs:
        """The pairs whose ids are not among the known ones."""
        new = ~np.isin(self.ids, known)
        table = self.pairs.table.filter(pa.array(new))
        return NamedPairs(replace(self.pairs, table=table), self.ids[new])

    def cut(self, config: JobConfig, pace: Pace = Pace()) -> Plan:  # noqa: B008
        """The plan of these pairs: the same pairs and pace always give the same shards."""
        shards = _shards(self.pairs, config, pace)
        order = np.argsort(shards, kind="stable")
        table, ids, shards = self.pairs.table.take(pa.array(order)), self.ids[order], shards[order]
        columns = {
            "pair_id": id_column(ids),
            "content": table["content"],
            "style": table["style"],
            "k": table["k"],
            "shard": pa.chunked_array([key_column(shards, _names(ids, shards))]),
        }
        contents, styles = self.pairs.contents, self.pairs.styles
        sources = {"content": contents} | dict.fromkeys(style_columns(table), styles)
        for of in ("versions", "places"):
            for name, source in sources.items():
                columns[f"{name}_{of[:-1]}"] = _column(getattr(source, of), table[name])
        rest = {name: table[name] for name in table.column_names if name not in columns}
        return Plan(pa.table({**columns, **rest}), contents, styles)


def name_pairs(
    config: JobConfig,
    fingerprint: str,
    spread: Spread = in_threads,
    earlier: Earlier = NOTHING,
) -> NamedPairs:
    """List, pair and name the pairs of a job. The same inputs always give the same pairs.

    Args:
        config: sources and pairing.
        fingerprint: of everything else that decides a result (`JobConfig.fingerprint`).
        spread: runs the reading of many files.
        earlier: results of earlier plannings of the run.

    Raises:
        SourceError: a source or the table is missing, empty or inconsistent.
    """
    pairs = with_styles(make_pairs(config, config.storage_options, spread, earlier), config)
    pairs = with_variants(with_mask_names(pairs, config), config)
    return NamedPairs(pairs, ids_of(pairs, fingerprint))


def plan_digest(plan: Plan) -> str:
    """Hash of a plan's pairs, independent of their shards: 32 hexadecimal digits."""
    return ids_digest(id_array(plan.table["pair_id"]))


def write_parts(
    plan: Plan, first: int = 0, rows_per_part: int = 65536
) -> Iterator[tuple[str, pa.Table]]:
    """Cut a plan into tables for one Parquet file each. No shard is split.

    Args:
        first: number of the first part. Names of parts that extend a plan also have a digest of
            their pairs, so that two drivers never write different parts under one name.
        rows_per_part: most pairs per part, unless a single shard has more.

    Yields:
        The file's name, part-00000.parquet and so on, and its table; keys and shards are plain
        strings, as every reader expects.
    """
    ends = np.append(_starts(plan.table["shard"])[1:], plan.pairs)
    start, number = 0, first
    suffix = f"-{plan_digest(plan)[:8]}" if first else ""
    while start < plan.pairs:
        fits = np.searchsorted(ends, start + rows_per_part, side="right") - 1
        end = int(ends[max(fits, np.searchsorted(ends, start, side="right"))])
        yield f"part-{number:05d}{suffix}.parquet", plain(plan.table.slice(start, end - start))
        start, number = end, number + 1


def shards_of(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The shards of a plan's table, or of a part of it, in order: name and pairs.

    Args:
        table: shard after shard; some pairs of a shard may have been left out.
    """
    starts = _starts(table["shard"])
    for start, end in pairwise([*starts.tolist(), table.num_rows]):
        shard = plain(table.slice(start, end - start))
        yield shard["shard"][0].as_py(), shard


def packed(
    table: pa.Table, most_pairs: int, most_pictures: int
) -> Iterator[tuple[list[str], pa.Table]]:
    """The shards of a table as in `shards_of`, small ones packed together.

    Yields:
        The shards' names and their pairs: at most `most_pairs` pairs of at most `most_pictures`
        distinct pictures, unless a single shard has more.
    """
    names: list[str] = []
    pictures: set[tuple[str, str]] = set()
    start = end = 0
    for name, shard in shards_of(table):
        new = {("content", key) for key in shard["content"].to_pylist()}
        for column in ("style", *further_styles(table.column_names)):
            new |= {("style", key) for key in shard[column].drop_null().to_pylist()}
        over = end + shard.num_rows - start > most_pairs or len(pictures | new) > most_pictures
        if names and over:
            yield names, plain(table.slice(start, end - start))
            names, pictures, start = [], set(), end
        names.append(name)
        pictures |= new
        end += shard.num_rows
    if names:
        yield names, plain(table.slice(start, end - start))


def _shards(pairs: Pairs, config: JobConfig, pace: Pace) -> np.ndarray:
    """Shard numbers [P] of pairs, within the bounds on pairs and on time per shard."""
    table, params = pairs.table, config.unet_params
    if not table.num_rows:
        return np.zeros(0, np.int64)
    _, *further = style_columns(table)
    content, styles = codes(table["content"]), all_styles(table, further)
    # All styles of a pair are cut as one picture that has the size of all.
    style = combinations(table, further)
    pictures = max(2, most_pictures(config.working_size) // (1 + len(further)))
    groups = None if pairs.groups is None else pairs.groups[content]
    together = pair_numbers(content, style, table["k"].to_numpy())
    whole = np.array([[count_distinct(content), count_distinct(styles[1]), len(content)]])
    most = pace.pairs(len(content), config.shard_pairs, int(evaluations(whole, params)[0]))
    while True:
        bounds = most, groups, pictures
        if count_variants(config) > 1:
            shards = assign_variants(together, content, style, *bounds)
        else:
            shards = assign_shards(content, style, *bounds)
        counts = picture_counts(shards, content, styles)
        longest = int(evaluations(counts, params).max())
        fewer = pace.shorter(most, longest)
        if fewer >= most:
            return shards
        most = fewer


def _column(texts: Keys | None, keys: pa.ChunkedArray) -> pa.ChunkedArray:
    """A source's texts for the pictures of a column of keys, null for empty texts."""
    if texts is None:
        return pa.chunked_array([pa.nulls(len(keys), pa.string())])
    known = pc.if_else(pc.equal(texts.array, ""), None, texts.array)
    index = keys.unify_dictionaries().combine_chunks().indices
    return pa.chunked_array([pa.DictionaryArray.from_arrays(index, known)])


def _names(ids: np.ndarray, shards: np.ndarray) -> list[str]:
    """The names of shards 0, 1, 2 ..., by the ids of their pairs in shard order."""
    bounds = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
    return [shard_name(ids[start:end]) for start, end in pairwise(bounds)]


def _starts(shard: pa.ChunkedArray) -> np.ndarray:
    """Rows at which a shard begins."""
    shards = codes(shard)
    return np.flatnonzero(np.r_[True, shards[1:] != shards[:-1]]) if len(shards) else shards
