"""The quality columns of a run: the spread of its measures, and the pairs that a rule rejects."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from styleid_ray.batch.folder.output import Output, data_file, read_each
from styleid_ray.quality.columns import COLUMN, MEASURES, RANGES
from styleid_ray.quality.rule import Rule, no_value
from styleid_ray.quality.spread import QUANTILES, Spread


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
        for name, values in zip(MEASURES, table[COLUMN].combine_chunks().flatten(), strict=True):
            self.spreads[name].add(values.to_numpy(zero_copy_only=False))  # NaN for null

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `measures`, and with a rule `reject` and `rejected`."""
        measures = {name: spread.as_dict() for name, spread in self.spreads.items()}
        rejected = {"reject": str(self.rule), "rejected": self.rejected} if self.rule else {}
        return {"measures": measures, **rejected}

    def lines(self) -> list[str]:
        """A table for a person, and the number of pairs that the rule rejects."""
        measured = {name: x.as_dict() for name, x in self.spreads.items() if x.count}
        if not measured:
            return ["no pair has been measured yet"]
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
    output: Output, shards: Iterable[str], rule: Rule, columns: Sequence[str] = ()
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

    def read(shard: str) -> pa.Table | None:
        return output.shard_rows(data_file(shard), [*columns, COLUMN])

    for shard, table in read_each(read, sorted(shards)):
        if table is not None:
            yield shard, table
