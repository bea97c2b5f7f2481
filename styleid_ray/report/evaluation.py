"""The evaluation of a run, if it has one: metrics of the run and of its pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch.progress import counted
from styleid_ray.evaluation.outcome import (
    GROUPS,
    NAMES,
    PAIRS_FILE,
    SUMMARY_FILE,
    Evaluation,
)
from styleid_ray.evaluation.published import beside_published
from styleid_ray.report.measures import METRICS, DrawnSpread
from styleid_ray.report.public import public_message

_HEADINGS = {"style": "Style", "content": "Content", "product": "Product of both"}
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Metrics:
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


def read_metrics(output: Output, done: int) -> Metrics:
    """The metrics of a run with this number of finished pairs."""
    try:
        found = Evaluation.read(output)
    except FileNotFoundError:
        return Metrics()
    except ValueError:
        return Metrics(about=_damaged(SUMMARY_FILE))
    groups = [
        (_HEADINGS[group], {name: _text(found.values[metric]) for metric, name in names.items()})
        for group, names in GROUPS.items()
    ]
    published = beside_published(found.values) if found.as_the_paper else []
    outdated = found.data_digest not in (None, output.data_digest())
    about = _about(found, done, outdated)
    return Metrics(groups, _missing(found), about, published, outdated)


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


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) >= 1 else f"{value:.4f}"


def _missing(found: Evaluation) -> dict[str, str]:
    labels: dict[str, list[str]] = {}
    for metric, name in NAMES.items():
        if metric in found.missing:
            labels.setdefault(public_message(found.missing[metric]), []).append(name)
    return {reason: ", ".join(names) for reason, names in labels.items()}


def _about(found: Evaluation, done: int, outdated: bool) -> str:
    fewer = found.pairs < done
    pairs = f"{found.pairs:,} of {done:,} finished pairs" if fewer else counted(found.pairs, "pair")
    sources = f"{counted(found.contents, 'content')}, {counted(found.styles, 'style')}"
    text = f"{pairs}: {sources}. Lower is better."
    if outdated:
        return f"{text} Pictures were made since: run styleid-ray evaluate again."
    if found.unreadable:
        return f"{text} Some pictures could not be read: styleid-ray evaluate names them."
    return f"{text} Run styleid-ray evaluate again for those added since." if fewer else text


def _damaged(name: str) -> str:
    return f"{name} is damaged: run styleid-ray evaluate again."
