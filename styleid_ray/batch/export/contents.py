"""The contents of a run: the planned ones, the finished pairs of each, and their labels."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.batch.folder.output import PLAN, PLAN_ONLY, Output
from styleid_ray.batch.folder.places import plan_columns
from styleid_ray.batch.folder.stored import is_hidden, run_source
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.config import JobConfig, flag
from styleid_ray.datasets.features import feature_of
from styleid_ray.datasets.formats import open_labels, recognised
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError
from styleid_ray.planning.pairing import content_options

MARK = "rejected"
"""Label column that marks rejected pairs."""
_COLUMNS = ("content", "content_place", "split")


@dataclass(frozen=True)
class Contents:
    """The planned contents of a run, sorted by their keys."""

    source: Source
    """Keys, places and splits."""
    made: np.ndarray
    """[K], int64: finished pairs of each content."""
    styles: Keys

    def index(self, key: str) -> int:
        """The position of a key among the contents."""
        return self.source.keys.index(key)

    def failed(self, tally: Tally) -> list[str]:
        """Keys of the contents without a picture; empty while pairs are missing."""
        return [] if tally.missing else list(self.source.only(self.made == 0).keys)


def read_contents(output: Output, source: Source, tally: Tally) -> Contents:
    """Reads a run's contents from its plan, part by part; `source` is their location."""
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
    all_styles = pc.unique(pa.chunked_array(styles, pa.string()))
    return Contents(listed, table["made"].to_numpy(), Keys(all_styles))


def has_repeats(output: Output) -> bool:
    """Whether several pairs of a run share content, style and k, as rows of a table do that differ
    in their parameters."""
    columns = ["content", "style", "k"]
    plan = pa.concat_tables(output.plan_part(name, columns) for name in output.files(PLAN))
    return plan.unify_dictionaries().group_by(columns).aggregate([]).num_rows < plan.num_rows


def content_source(config: JobConfig, record: dict[str, Any]) -> Source:
    """The location of a run's contents."""
    format = record.get("formats", {}).get("content")
    if record.get("sources") is None and format not in ("folder", None):
        raise ConfigError(
            "the run's source URLs held passwords or signatures, which are not stored, so its "
            "labels cannot be read: stylize from a location that needs none"
        )
    return run_source(record, "content", config.storage_options)


def content_labels(config: JobConfig, record: dict[str, Any], contents: Source) -> Labels:
    """The labels of a run's contents. Raises SourceError when they cannot be read."""
    options = content_options(config, config.storage_options)
    known = record.get("formats", {}).get("content") or None
    if known is None and not config.content:
        known = "folder"  # a table of URLs
    for name in ("content", "label_masks", "annotations"):
        if is_hidden(getattr(config, name)) and (name != "content" or known != "folder"):
            raise ConfigError(
                f"{flag(name)} was stored without its password or signature: labels "
                "cannot be read; keep them where the usual environment gives access"
            )
    return open_labels(recognised(options, known), contents)


def further_features(output: Output, labels: Labels, mark: bool) -> dict[str, Any]:
    """The Hugging Face features of label columns that the run itself has, and that the labels lack:
    further columns of its table of pairs and, with `mark`, the column that marks rejected pairs."""
    features: dict[str, Any] = {}
    for column in output.parsed(output.files(PLAN)[0], pq.read_schema):
        if column.name not in {*PLAN_ONLY, *labels.features, "split"}:
            with suppress(ValueError):  # a type that datasets does not know
                features[column.name] = feature_of(column.type)
    if mark and MARK in {*features, *labels.features}:
        raise ConfigError(
            f"--mark-rejected: the labels or the table of pairs have a column {MARK} already: "
            "leave rejected pairs out"
        )
    return features | ({MARK: {"dtype": "bool", "_type": "Value"}} if mark else {})


def _summed(table: pa.Table) -> pa.Table:
    # A content has one place and split, in every part of the plan.
    ways = [("content_place", "max"), ("split", "max"), ("made", "sum")]
    counts = table.group_by("content").aggregate(ways)
    return counts.rename_columns([*_COLUMNS, "made"])


def _keys(column: pa.ChunkedArray) -> Keys:
    return Keys(column.combine_chunks().cast(pa.string()))
