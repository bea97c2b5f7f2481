"""The column `quality` of a whole run, read once: spread of the measures, and the worst pairs."""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output
from styleid_ray.quality.columns import COLUMN, has_quality
from styleid_ray.report.limits import Gate
from styleid_ray.report.measures import QUALITY, DrawnSpread

WORST = 12
"""The most pairs among the worst."""
_READERS = 4
_ROWS_AT_ONCE = 16_384


class Place(NamedTuple):
    """A bad pair. Smaller is worse; the order does not depend on the order of files."""

    goodness: float
    """The negative of `Gate.badness`."""
    pair_id: str
    file: str
    row: int


@dataclass
class Quality:
    """The measures of a run's pairs, in memory that does not grow with their number."""

    spreads: list[DrawnSpread] = field(default_factory=lambda: [DrawnSpread(m) for m in QUALITY])
    count: int = 0
    """Measured pairs."""
    flagged: int = 0
    """Pairs that are rejected or beyond a limit."""
    rejected: int = 0
    worst: list[Place] = field(default_factory=list)
    """At most `WORST` of the flagged pairs, the worst first."""

    @property
    def rows(self) -> dict[str, list[int]]:
        """Row numbers of the worst, by file."""
        rows: dict[str, list[int]] = {}
        for place in self.worst:
            rows.setdefault(place.file, []).append(place.row)
        return rows

    def merge(self, other: Quality) -> None:
        """Adds the pairs of another file."""
        for own, theirs in zip(self.spreads, other.spreads, strict=True):
            own.merge(theirs)
        self.count += other.count
        self.flagged += other.flagged
        self.rejected += other.rejected
        self.worst = heapq.nsmallest(WORST, [*self.worst, *other.worst])


def read_measures(output: Output, gate: Gate) -> Quality:
    """The measures of all finished pairs, without those in files that lack the column."""
    quality = Quality()

    def of_file(name: str) -> Quality:
        return output.parsed(name, lambda f: _of_file(f, name, gate))

    with ThreadPoolExecutor(_READERS) as pool:
        for part in pool.map(of_file, output.files("data")):
            quality.merge(part)
    return quality


def _of_file(file: Any, name: str, gate: Gate) -> Quality:
    quality, start = Quality(), 0
    parquet = pq.ParquetFile(file)
    if not has_quality(parquet.schema_arrow):
        return quality
    for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=["pair_id", COLUMN]):
        column = batch.column(COLUMN)
        fields = zip(column.type, column.flatten(), strict=True)
        measures = {  # float64 [rows], NaN for null
            field.name: values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            for field, values in fields
            if pa.types.is_floating(field.type)
        }
        for spread in quality.spreads:
            spread.add(measures[spread.measure.name])
        rejected = gate.rejected(column)
        bad = gate.badness(measures, rejected)
        quality.count += batch.num_rows - column.null_count
        quality.rejected += int(rejected.sum())
        rows = np.flatnonzero(bad > 0)
        quality.flagged += len(rows)
        rows = rows[np.argsort(-bad[rows], kind="stable")]
        cut = bad[rows[WORST - 1]] if len(rows) > WORST else 0
        ids = batch.column("pair_id")
        places = [
            Place(-float(bad[row]), ids[row].as_py(), name, start + row)
            for row in rows[bad[rows] >= cut].tolist()
        ]
        quality.worst = heapq.nsmallest(WORST, [*quality.worst, *places])
        start += batch.num_rows
    return quality
