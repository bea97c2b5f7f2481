"""The quality columns of a run read back: how its measures are spread, and which pairs a rule
rejects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.errors import OutputError
from styleid_ray.quality.columns import MEASURES
from styleid_ray.quality.rule import COLUMN, Rule
from styleid_ray.storage.locations import shown

_READERS = 16
_LEAST, _MOST, _BIN = -1.0, 10.0, 0.001
"""The values of all measures, and how finely quantiles are told."""
_QUANTILES = (5, 50, 95)


class Spread:
    """The values of one measure in bounded memory: their mean, and quantiles to about 0.001."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self._counts = np.zeros(round((_MOST - _LEAST) / _BIN) + 1, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Takes in values [N]; NaN stands for none."""
        values = values[~np.isnan(values)].astype(np.float64)
        self.count += len(values)
        self.total += float(values.sum())
        bins = np.rint((values.clip(_LEAST, _MOST) - _LEAST) / _BIN).astype(np.int64)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def as_dict(self) -> dict[str, Any]:
        """`count`, `mean`, and quantiles `p5`, `p50` and `p95`; null where there is no value."""
        if not self.count:
            return {"count": 0, "mean": None} | {f"p{q}": None for q in _QUANTILES}
        reached = np.cumsum(self._counts)
        places = [np.searchsorted(reached, q / 100 * self.count) for q in _QUANTILES]
        quantiles = {
            f"p{q}": round(_LEAST + _BIN * int(place), 3)
            for q, place in zip(_QUANTILES, places, strict=True)
        }
        mean = round(self.total / self.count, 4)
        return {"count": self.count, "mean": mean} | quantiles


@dataclass
class QualitySummary:
    """The measures of a run's finished pairs."""

    rule: Rule | None
    pairs: int = 0
    rejected: int = 0
    """Pairs that the rule rejects."""
    spreads: dict[str, Spread] = field(
        default_factory=lambda: {name: Spread() for name in MEASURES}
    )

    def add(self, table: pa.Table) -> None:
        """Takes in rows of the dataset."""
        self.pairs += table.num_rows
        if self.rule:
            self.rejected += self.rule.rejects(table).true_count
        if COLUMN in table.column_names:
            for name, values in zip(MEASURES, _values(table), strict=True):
                self.spreads[name].add(values)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `measures`, and with a rule `reject` and `rejected`."""
        measures = {name: spread.as_dict() for name, spread in self.spreads.items()}
        rejected = {"reject": str(self.rule), "rejected": self.rejected} if self.rule else {}
        return {"measures": measures, **rejected}

    def lines(self) -> list[str]:
        """A table for a person, and how many pairs the rule rejects."""
        measured = {name: x.as_dict() for name, x in self.spreads.items() if x.count}
        if not measured:
            return ["the run has no quality columns: an earlier version made it"]
        lines = [f"{'quality':<12}{'mean':>8}" + "".join(f"{f'p{q}':>8}" for q in _QUANTILES)]
        for name, values in measured.items():
            numbers = [values["mean"], *(values[f"p{q}"] for q in _QUANTILES)]
            lines.append(f"{name:<12}" + "".join(f"{x:8.3f}" for x in numbers))
        if self.rule:
            lines.append(f"{self.rejected:,} of {self.pairs:,} pairs are rejected by {self.rule}")
        return lines


def read_quality(output: Output, shards: Iterable[str], rule: Rule | None) -> QualitySummary:
    """The measures of finished shards, from the column alone.

    Raises:
        OutputError: a file is damaged or cannot be read.
    """
    summary = QualitySummary(rule)
    for _, table in _tables(output, shards, []):
        summary.add(table)
    return summary


def read_rejected(
    output: Output, shards: Iterable[str], rule: Rule, columns: Collection[str] = ()
) -> Iterator[tuple[str, pa.Table]]:
    """The rejected pairs of finished shards that have some: `pair_id`, `quality` and further
    columns. Raises as `read_quality`."""
    for shard, table in _tables(output, shards, ["pair_id", *columns]):
        rejected = table.filter(rule.rejects(table))
        if rejected.num_rows:
            yield shard, rejected


def _tables(
    output: Output, shards: Iterable[str], columns: list[str]
) -> Iterator[tuple[str, pa.Table]]:
    names = sorted(shards)
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(names), 4 * _READERS):  # no more tables are held
            some = names[start : start + 4 * _READERS]
            yield from zip(some, pool.map(lambda n: _read(output, n, columns), some), strict=True)


def _read(output: Output, shard: str, columns: list[str]) -> pa.Table:
    """Columns of a shard, and its column `quality` where it has one of its own."""
    name = data_file(shard)

    def read(f: Any) -> pa.Table:
        file = pq.ParquetFile(f)
        schema = file.schema_arrow
        own = COLUMN in schema.names and pa.types.is_struct(schema.field(COLUMN).type)
        rows = file.read(columns=[*columns, *[COLUMN] * own])
        if rows.num_columns:
            return rows
        return pa.table({"row": pa.nulls(file.metadata.num_rows)})

    try:
        return output.parsed(name, read)
    except FileNotFoundError:  # a repair has removed it
        return pa.table({column: pa.array([], pa.string()) for column in columns or ["row"]})
    except pa.ArrowInvalid as e:
        raise OutputError(
            f"{output.url}/{name} is damaged ({shown(str(e))}): verify --repair removes it, and "
            "its pairs are made again"
        ) from e


def _values(table: pa.Table) -> list[np.ndarray]:
    """The values [N] of each measure, NaN where there is none."""
    column = table[COLUMN].combine_chunks()
    known = {one.name for one in column.type}
    none = pa.nulls(len(column), pa.float32())
    arrays = [column.field(name) if name in known else none for name in MEASURES]
    return [array.to_numpy(zero_copy_only=False).astype(np.float64) for array in arrays]
