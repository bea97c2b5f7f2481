"""The quality columns of a run: the spread of its measures, and the pairs that a rule rejects."""

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.quality.columns import COLUMN, MEASURES, RANGES, has_quality
from styleid_ray.quality.rule import Rule, no_value
from styleid_ray.quality.spread import QUANTILES, Spread

_READERS = 16


@dataclass
class QualitySummary:
    """The measures of a run's finished pairs."""

    rule: Rule | None
    pairs: int = 0
    rejected: int = 0
    """Number of pairs that the rule rejects."""
    spreads: dict[str, Spread] = field(
        default_factory=lambda: {name: Spread(*RANGES[name]) for name in MEASURES}
    )

    def add(self, table: pa.Table) -> None:
        """Adds rows of the dataset."""
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
        """A table for a person, and the number of pairs that the rule rejects."""
        measured = {name: x.as_dict() for name, x in self.spreads.items() if x.count}
        if not measured:
            lines = ["the run has no quality columns: an earlier version made it"]
            return [*lines, no_value(self.rule.names)] if self.rule else lines
        lines = [f"{'quality':<12}{'mean':>8}" + "".join(f"{f'p{q}':>8}" for q in QUANTILES)]
        for name, values in measured.items():
            numbers = [values["mean"], *(values[f"p{q}"] for q in QUANTILES)]
            lines.append(f"{name:<12}" + "".join(f"{x:8.3f}" for x in numbers))
        if self.rule:
            lines.append(f"{self.rejected:,} of {self.pairs:,} pairs are rejected by {self.rule}")
            if without := [name for name in self.rule.names if name not in measured]:
                lines.append(no_value(without))
        return lines


def read_quality(output: Output, shards: Iterable[str], rule: Rule | None) -> QualitySummary:
    """The measures of finished shards; only the column `quality` is read. Raises OutputError for a
    file that is damaged or cannot be read."""
    summary = QualitySummary(rule)
    for _, table in quality_tables(output, shards, []):
        summary.add(table)
    return summary


def read_rejected(
    output: Output, shards: Iterable[str], rule: Rule, columns: Collection[str] = ()
) -> Iterator[tuple[str, pa.Table]]:
    """The finished shards with rejected pairs, and those pairs' `pair_id`, `quality` and further
    columns. Raises as `read_quality`."""
    for shard, table in quality_tables(output, shards, ["pair_id", *columns]):
        rejected = table.filter(rule.rejects(table))
        if rejected.num_rows:
            yield shard, rejected


def quality_tables(
    output: Output, shards: Iterable[str], columns: list[str]
) -> Iterator[tuple[str, pa.Table]]:
    """The finished shards, sorted by name, with `quality` and further columns of their pairs.
    Raises as `read_quality`."""
    names = sorted(shards)
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(names), 4 * _READERS):  # bounds the tables in memory
            some = names[start : start + 4 * _READERS]
            yield from zip(some, pool.map(lambda n: _read(output, n, columns), some), strict=True)


def _read(output: Output, shard: str, columns: list[str]) -> pa.Table:
    """Columns of a shard, with `quality` unless that column came with the job's table."""
    name = data_file(shard)

    def read(f: Any) -> pa.Table:
        file = pq.ParquetFile(f)
        rows = file.read(columns=[*columns, *[COLUMN] * has_quality(file.schema_arrow)])
        if rows.num_columns:
            return rows
        return pa.table({"row": pa.nulls(file.metadata.num_rows)})

    try:
        return output.parsed(name, read)
    except FileNotFoundError:  # a repair has removed it
        return pa.table({column: pa.array([], pa.string()) for column in columns or ["row"]})
    except pa.ArrowInvalid as e:
        raise output.damaged(name, e) from e


def _values(table: pa.Table) -> list[np.ndarray]:
    """The values [N] of each measure, NaN if unknown."""
    column = table[COLUMN].combine_chunks()
    known = {one.name for one in column.type}
    none = pa.nulls(len(column), pa.float32())
    arrays = [column.field(name) if name in known else none for name in MEASURES]
    return [array.to_numpy(zero_copy_only=False).astype(np.float64) for array in arrays]
