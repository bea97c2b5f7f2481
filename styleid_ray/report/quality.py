"""The column `quality` of a whole run, read once: spread of the measures, and the worst pairs."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.folder.quality import quality_tables
from styleid_ray.quality.columns import COLUMN
from styleid_ray.report.limits import Gate
from styleid_ray.report.measures import QUALITY, DrawnSpread

WORST = 12
"""The most pairs among the worst."""


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

    def add(self, file: str, pairs: pa.Table, gate: Gate) -> None:
        """Adds the pairs of a data file, with `pair_id` and `quality`."""
        column = pairs[COLUMN].combine_chunks()
        measures = {  # float64 [rows], NaN for null
            field.name: values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            for field, values in zip(column.type, column.flatten(), strict=True)
            if pa.types.is_floating(field.type)
        }
        for spread in self.spreads:
            spread.add(measures[spread.measure.name])
        rejected = gate.rejected(column)
        bad = gate.badness(measures, rejected)
        self.count += len(column) - column.null_count
        self.rejected += int(rejected.sum())
        self.flagged += int((bad > 0).sum())
        least = np.sort(bad)[-WORST:][0]
        places = [
            Place(-float(bad[row]), pairs["pair_id"][row].as_py(), file, row)
            for row in np.flatnonzero((bad > 0) & (bad >= least)).tolist()
        ]
        self.worst = heapq.nsmallest(WORST, [*self.worst, *places])


def read_measures(output: Output, shards: Iterable[str], gate: Gate) -> Quality:
    """The measures of the pairs of finished shards. Raises OutputError for a file that is damaged
    or cannot be read."""
    quality = Quality()
    for shard, pairs in quality_tables(output, shards, ["pair_id"]):
        if pairs.num_rows:
            quality.add(data_file(shard), pairs, gate)
    return quality
