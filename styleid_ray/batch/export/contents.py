"""The contents of a run: all that were planned, and how often each was stylised."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.batch.folder.output import PLAN, Output
from styleid_ray.batch.folder.places import plan_columns
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.source import Source
from styleid_ray.planning.columns import distinct
from styleid_ray.planning.hashing import GOLDEN, hashes, mix

_COLUMNS = ("content", "content_place", "split")


@dataclass(frozen=True)
class Contents:
    """The planned contents of a run, sorted by their keys."""

    source: Source
    """Their keys, places and splits."""
    made: np.ndarray
    """[K], int64: pairs of each that are done."""
    styles: Keys

    def index(self, key: str) -> int:
        """The place of a key among them."""
        return pc.index(Keys(self.source.keys).array, key).as_py()

    def done(self) -> Source:
        """Those with a picture."""
        return self.source.only(self.made > 0)

    def failed(self, tally: Tally) -> list[str]:
        """Keys of those without a picture, where nothing is left to be made."""
        return [] if tally.missing else list(self.source.only(self.made == 0).keys)


def read_contents(output: Output, source: Source, tally: Tally) -> Contents:
    """Reads the plan, a part at a time.

    Args:
        output: of the run.
        source: where the contents lie.
        tally: of the run.
    """
    failed = pa.array([i for ids in tally.failures.ids.values() for i in ids], pa.string())
    finished = pa.array(sorted(tally.finished), pa.string())
    parts, styles = [], []
    for name in output.files(PLAN):
        part = plan_columns(output, name, [*_COLUMNS, "style", "shard", "pair_id"])
        styles.append(part["style"].unique())
        done = pc.and_(
            pc.is_in(part["shard"], finished), pc.invert(pc.is_in(part["pair_id"], failed))
        )
        counted = part.select(_COLUMNS).append_column("made", done.cast(pa.int64()))
        parts.append(_summed(counted))
    table = _summed(pa.concat_tables(parts)).sort_by("content")
    splits = None if table["split"].null_count else _keys(table["split"])
    places = None if table["content_place"].null_count else _keys(table["content_place"])
    listed = replace(source, keys=_keys(table["content"]), places=places, splits=splits)
    all_styles = pa.chunked_array([c for one in styles for c in _chunks(one)], pa.string())
    return Contents(listed, table["made"].to_numpy(), _keys(pc.unique(all_styles)))


def has_repeats(output: Output) -> bool:
    """Whether several pairs of a run have one content, style and k: rows of a table that differ in
    their parameters."""
    numbers: list[np.ndarray] = []
    for name in output.files(PLAN):
        part = plan_columns(output, name, ["content", "style", "k"])
        state = part["k"].to_numpy().astype(np.uint64)
        for column in ("content", "style"):
            keys = part[column].combine_chunks().dictionary_encode()
            hashed = hashes(keys.dictionary.to_pylist(), 0)
            state = mix(state * np.uint64(GOLDEN) + hashed[keys.indices.to_numpy()])
        numbers.append(state)
    whole = np.concatenate(numbers or [np.empty(0, np.uint64)])
    return len(distinct(whole)) < len(whole)


def _summed(table: pa.Table) -> pa.Table:
    # A content has one place and split, whatever parts of the plan tell them.
    ways = [("content_place", "max"), ("split", "max"), ("made", "sum")]
    counts = table.group_by("content").aggregate(ways)
    return counts.rename_columns([*_COLUMNS, "made"])


def _keys(column: Any) -> Keys:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return Keys(array.cast(pa.string()))


def _chunks(array: Any) -> Iterator[pa.Array]:
    yield from array.chunks if isinstance(array, pa.ChunkedArray) else [array]
