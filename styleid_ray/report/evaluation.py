"""The evaluation of a run, if it has one: metrics of the run and of its pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch.progress import counted
from styleid_ray.evaluation.outcome import GROUPS, NAMES, PAIRS_FILE, SUMMARY_FILE
from styleid_ray.evaluation.published import PAIRS_OF_THE_PAPER, beside_published
from styleid_ray.report.measures import METRICS, DrawnSpread
from styleid_ray.report.public import public_message

_HEADINGS = {"style": "Style", "content": "Content", "product": "Product of both"}
_SIZE_OF_THE_PAPER = 512
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a run as text without secrets."""

    groups: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Heading and values by label; '' for a metric that was not computed. Empty without an
    evaluation."""
    missing: dict[str, str] = field(default_factory=dict)
    """Labels of the metrics that were not computed, by reason."""
    about: str = ""
    """The pairs that were evaluated."""
    published: list[list[str]] = field(default_factory=list)
    """Rows of name, ArtFID, FID, LPIPS, CFSD and source, best first, the run's own among them with
    an empty source; empty unless the run follows the paper's protocol."""
    outdated: bool = False
    """Whether pictures were made after the evaluation."""


def read_evaluation(output: Output, config: Mapping[str, Any], done: int) -> Evaluation:
    """The metrics of a run with these stored options and number of finished pairs."""
    try:
        summary = json.loads(output.read(SUMMARY_FILE))
    except FileNotFoundError:
        return Evaluation()
    except ValueError:
        summary = None
    if not isinstance(summary, dict):
        return Evaluation(about=_damaged(SUMMARY_FILE))
    values = {metric: _value(summary.get(metric)) for metric in NAMES}
    groups = [
        (_HEADINGS[group], {name: values[metric] for metric, name in names.items()})
        for group, names in GROUPS.items()
    ]
    given = (summary.get(name) for name in ("contents", "styles", "pairs"))
    contents, styles, pairs = (x if isinstance(x, int) else 0 for x in given)
    evaluated = summary.get("data_digest")
    outdated = evaluated is not None and evaluated != output.data_digest()
    about = _about(contents, styles, pairs, done, bool(summary.get("unreadable")), outdated)
    same = (contents, styles, pairs) == PAIRS_OF_THE_PAPER
    same = same and config.get("size") == _SIZE_OF_THE_PAPER
    own = {metric: summary[metric] if value else None for metric, value in values.items()}
    published = beside_published(own) if same else []
    return Evaluation(groups, _missing(summary, values), about, published, outdated)


def read_scores(output: Output, ids: set[str]) -> Scores:
    """The metrics of pairs: their spread over the run, and the values of pairs with these ids."""
    try:
        return output.parsed(PAIRS_FILE, lambda f: _scores(f, ids))
    except FileNotFoundError:
        return Scores()
    except pa.ArrowInvalid:
        return Scores(note=_damaged(PAIRS_FILE))


@dataclass
class Scores:
    """The metrics of pairs."""

    spreads: list[DrawnSpread] = field(default_factory=lambda: [DrawnSpread(m) for m in METRICS])
    of_pair: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Metrics of the requested pairs, by id."""
    note: str = ""
    """A remark on a damaged file."""


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
    """A spread per metric that reaches to its greatest value, since CFSD has no bound."""
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


def _missing(summary: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
    given = summary.get("missing")
    given = given if isinstance(given, dict) else {}
    labels: dict[str, list[str]] = {}
    for metric, name in NAMES.items():
        if not values[metric]:
            reason = public_message(str(given.get(metric) or "no reason is given"))
            labels.setdefault(reason, []).append(name)
    return {reason: ", ".join(names) for reason, names in labels.items()}


def _about(contents: int, styles: int, pairs: int, done: int, unread: bool, outdated: bool) -> str:
    of = f" of {done:,} finished" if pairs < done else ""
    sources = f"{counted(contents, 'content')}, {counted(styles, 'style')}"
    pairs_text = f"{pairs:,}{of} pairs" if of else counted(pairs, "pair")
    text = f"{pairs_text}: {sources}. Lower is better."
    if outdated:
        return f"{text} Pictures were made since: run styleid-ray evaluate again."
    if unread:
        return f"{text} Some pictures could not be read: styleid-ray evaluate names them."
    return f"{text} Run styleid-ray evaluate again for those added since." if of else text


def _damaged(name: str) -> str:
    return f"{name} is damaged: run styleid-ray evaluate again."
