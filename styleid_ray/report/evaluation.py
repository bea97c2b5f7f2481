"""The evaluation of a run, where it has one: its metrics, and those of its pairs."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import read_parts
from styleid_ray.batch.watch.progress import counted
from styleid_ray.evaluation.outcome import GROUPS, NAMES, PAIRS_FILE, SUMMARY_FILE
from styleid_ray.evaluation.published import PAIRS_OF_THE_PAPER, WARNING, beside_published
from styleid_ray.evaluation.stamp import stamp
from styleid_ray.report.measures import METRICS
from styleid_ray.report.public import public_message
from styleid_ray.report.spread import DrawnSpread

_HEADINGS = {"style": "Style", "content": "Content", "product": "Product of both"}
_COUNTS = ("contents", "styles", "pairs")
_SIZE_OF_THE_PAPER = 512
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Figure:
    """One metric of a run."""

    label: str
    value: str
    """Empty when it was not computed."""


@dataclass(frozen=True)
class Missing:
    """Metrics that were not computed for one reason."""

    labels: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a run, in words that may be shown."""

    groups: list[tuple[str, list[Figure]]] = field(default_factory=list)
    """Empty when the run was not evaluated."""
    missing: list[Missing] = field(default_factory=list)
    about: str = ""
    """Which pairs they are of."""
    published: list[list[str]] = field(default_factory=list)
    """Rows of name, ArtFID, FID, LPIPS, CFSD and source, best first, the run's own among them with
    an empty source; empty unless the run follows the paper's protocol."""
    warning: str = WARNING
    outdated: bool = False
    """Whether pictures were made since."""


def read_evaluation(output: Output, config: Mapping[str, Any], done: int) -> Evaluation:
    """The metrics of a run.

    Args:
        output: the run.
        config: its stored options.
        done: pairs that are finished by now.
    """
    try:
        summary = json.loads(output.read(SUMMARY_FILE))
    except FileNotFoundError:
        return Evaluation()
    except ValueError:
        summary = None
    if not isinstance(summary, dict):
        return Evaluation(about=_damaged(SUMMARY_FILE))
    groups = [
        (_HEADINGS[group], [Figure(name, _value(summary.get(m))) for m, name in names.items()])
        for group, names in GROUPS.items()
    ]
    contents, styles, pairs = (_count(summary.get(name)) for name in _COUNTS)
    counts = (contents, styles, pairs)
    outdated = _outdated(output, summary.get("shards"))
    about = _about(counts, done, bool(summary.get("unreadable")), outdated)
    same = counts == PAIRS_OF_THE_PAPER and config.get("size") == _SIZE_OF_THE_PAPER
    own = {metric: summary.get(metric) if _value(summary.get(metric)) else None for metric in NAMES}
    published = beside_published(own) if same else []
    return Evaluation(groups, _missing(summary), about, published, outdated=outdated)


def read_scores(output: Output, ids: set[str]) -> Scores:
    """The metrics of single pairs: how they are spread over the run, and those of some pairs."""
    try:
        return output.parsed(PAIRS_FILE, lambda f: _scores(f, ids))
    except FileNotFoundError:
        return Scores()
    except pa.ArrowInvalid:
        return Scores(note=_damaged(PAIRS_FILE))


@dataclass
class Scores:
    """Metrics of single pairs."""

    spreads: list[DrawnSpread] = field(default_factory=lambda: [DrawnSpread(m) for m in METRICS])
    of_pair: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """The requested ones, by id."""
    note: str = ""
    """Why there are none, where that is not as it should be."""


def _scores(file: Any, ids: set[str]) -> Scores:
    parquet = pq.ParquetFile(file)
    found, wanted = Scores(_spreads(parquet)), pa.array(sorted(ids), pa.string())
    existing = set(parquet.schema_arrow.names)
    spreads = [spread for spread in found.spreads if spread.measure.name in existing]
    names = ["pair_id", *(spread.measure.name for spread in spreads)]
    for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=names):
        for spread in spreads:
            column = batch.column(spread.measure.name).cast(pa.float64())
            spread.add(column.to_numpy(zero_copy_only=False))
        shown = batch.filter(pc.is_in(batch.column("pair_id").cast(pa.string()), wanted))
        found.of_pair |= {row.pop("pair_id"): row for row in shown.to_pylist()}
    return found


def _spreads(parquet: pq.ParquetFile) -> list[DrawnSpread]:
    """A spread for each metric, as wide as its greatest value: CFSD has no bound."""
    metadata = parquet.metadata
    columns = {parquet.schema.column(i).name: i for i in range(len(parquet.schema))}
    greatest = {measure.name: measure.high for measure in METRICS}
    for group, name in product(range(metadata.num_row_groups), greatest.keys() & columns.keys()):
        statistics = metadata.row_group(group).column(columns[name]).statistics
        if statistics is not None and statistics.has_min_max and np.isfinite(statistics.max):
            greatest[name] = max(greatest[name], statistics.max)
    return [DrawnSpread(replace(measure, high=greatest[measure.name])) for measure in METRICS]


def _value(value: Any) -> str:
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        return ""
    return f"{value:.3f}" if abs(value) >= 1 else f"{value:.4f}"


def _missing(summary: Mapping[str, Any]) -> list[Missing]:
    given = summary.get("missing")
    given = given if isinstance(given, dict) else {}
    labels: dict[str, list[str]] = {}
    for metric, name in NAMES.items():
        if not _value(summary.get(metric)):
            reason = public_message(str(given.get(metric) or "no reason is given"))
            labels.setdefault(reason, []).append(name)
    return [Missing(", ".join(found), reason) for reason, found in labels.items()]


def _about(counts: tuple[int, int, int], done: int, unread: bool, outdated: bool) -> str:
    contents, styles, pairs = counts
    of = f" of {done:,} finished" if pairs < done else ""
    sources = f"{counted(contents, 'content')}, {counted(styles, 'style')}"
    pairs_text = f"{pairs:,}{of} pairs" if of else counted(pairs, "pair")
    text = f"{pairs_text}: {sources}. Lower is better."
    if outdated:
        return f"{text} Pictures were made since: run styleid-ray evaluate again."
    if unread:
        return f"{text} Some pictures could not be read: styleid-ray evaluate names them."
    return f"{text} Run styleid-ray evaluate again for those added since." if of else text


def _outdated(output: Output, evaluated: Any) -> bool:
    """Whether a run's pictures are others than those whose `stamp` is given; False without one."""
    if not isinstance(evaluated, str):
        return False
    planned = set().union(*read_parts(output).values())
    try:
        return stamp(output, output.finished() & planned) != evaluated
    except FileNotFoundError:  # a repair removed it just now
        return True


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _damaged(name: str) -> str:
    return f"{name} is damaged: run styleid-ray evaluate again."
