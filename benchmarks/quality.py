"""How the quality columns of a run relate to the metrics of its pairs: rank correlations.

    python -m benchmarks.quality RUN

RUN is a finished run that `styleid-ray evaluate` has measured. Spearman's ρ over all pairs, and its
mean over the contents with the pairs of one content alone: some contents are harder than others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from styleid_ray.quality.columns import MEASURES

METRICS = ("lpips", "lpips_gray", "cfsd", "histogram_loss")


def table(run: Path) -> str:
    """The correlations as a Markdown table."""
    metrics = {row["pair_id"]: row for row in _rows(run / "evaluation" / "pairs.parquet")}
    pairs = [row for file in sorted((run / "data").iterdir()) for row in _rows(file)]
    pairs = [row for row in pairs if row["pair_id"] in metrics]
    contents = np.array([row["content"] for row in pairs])
    names = [n for n in METRICS if any(row[n] is not None for row in metrics.values())]
    lines = [f"| {len(pairs)} pairs | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for measure in MEASURES:
        x = _values([(row["quality"] or {}).get(measure) for row in pairs])
        cells = []
        for name in names:
            y = _values([metrics[row["pair_id"]][name] for row in pairs])
            within = [_rho(x[contents == key], y[contents == key]) for key in np.unique(contents)]
            cells.append(f"{_rho(x, y):+.2f} ({np.nanmean(within):+.2f})")
        lines.append(f"| `{measure}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(file: Path) -> list[dict]:
    columns = [n for n in pq.read_schema(file).names if n != "image"]
    return pq.read_table(file, columns=columns).to_pylist()


def _values(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], float)


def _rho(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's ρ of the pairs that have both values; NaN where one does not vary."""
    both = ~(np.isnan(x) | np.isnan(y))
    if both.sum() < 3 or not (np.ptp(x[both]) and np.ptp(y[both])):
        return float("nan")
    found: Any = spearmanr(x[both], y[both])
    return float(found.statistic)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
