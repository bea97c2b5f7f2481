"""Moments, sums and counts over any number of measured pictures."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from styleid_ray.evaluation.fid import Moments, frechet_distance
from styleid_ray.evaluation.meter import PAIR_METRICS
from styleid_ray.evaluation.outcome import METRICS, TOO_LARGE, Evaluation
from styleid_ray.evaluation.weights import Loaded

_STYLES_AT_ONCE = 16
StyleUnit = list[tuple[str, str | None, int]]
"""Styles by key and place, each with the number of times it counts."""


@dataclass
class Sums:
    """Sums over the rows of actors."""

    loaded: Loaded
    results: Moments = field(default_factory=Moments)
    styles: Moments = field(default_factory=Moments)
    _totals: Counter[str] = field(default_factory=Counter)
    _counts: Counter[str] = field(default_factory=Counter)
    _style_times: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """Results with features, by style."""
    _seen: dict[str, set[str]] = field(default_factory=lambda: {"content": set(), "style": set()})
    _unreadable: Counter[str] = field(default_factory=Counter)
    _example: dict[str, str] = field(default_factory=dict)

    def add_pairs(self, block: pa.Table) -> None:
        """Adds rows of `actor.PAIRS`."""
        self._counts["pairs"] += block.num_rows
        for role, seen in self._seen.items():
            seen.update(block[role].to_pylist())
        for metric in PAIR_METRICS:
            values = block[metric].drop_null().to_numpy()
            self._totals[metric] += values.sum()
            self._counts[metric] += len(values)
        self._add_trouble(block)
        block = block.filter(block["features"].is_valid())
        if block.num_rows:
            keys = (block[name].to_pylist() for name in ("style", "style_place"))
            self._style_times.update(zip(*keys, strict=True))
            self.results.add(_stacked(block))

    def style_units(self) -> list[StyleUnit]:
        """The styles of the results so far, each counted once per result."""
        styles = [(*style, times) for style, times in sorted(self._style_times.items(), key=str)]
        return [styles[i : i + _STYLES_AT_ONCE] for i in range(0, len(styles), _STYLES_AT_ONCE)]

    def add_styles(self, block: pa.Table) -> None:
        """Adds rows of `actor.STYLES`."""
        self._add_trouble(block)
        block = block.filter(block["features"].is_valid())
        if block.num_rows:
            self.styles.add(_stacked(block), block["times"].to_numpy())

    def evaluation(self) -> Evaluation:
        """The metrics of the whole set, None for one that cannot be computed."""
        values: dict[str, float | None] = dict.fromkeys(METRICS)
        missing = dict(self.loaded.missing)
        for metric in PAIR_METRICS:
            if self._counts[metric]:
                values[metric] = float(self._totals[metric] / self._counts[metric])
            elif metric not in missing:
                missing[metric] = self._reason(metric)
        if "fid" not in missing:
            try:
                values["fid"] = frechet_distance(self.results, self.styles)
            except ValueError as e:
                few = self._counts["pairs"] < 2 or self.results.count
                missing["fid"] = str(e) if few else self._nothing("style")
        fid, lpips = values["fid"], values["lpips"]
        if fid is None or lpips is None:
            missing["artfid"] = missing["fid" if fid is None else "lpips"]
        else:
            values["artfid"] = (1 + lpips) * (1 + fid)
        return Evaluation(
            values=values,
            pairs=self._counts["pairs"],
            contents=len(self._seen["content"]),
            styles=len(self._seen["style"]),
            missing={metric: missing[metric] for metric in METRICS if metric in missing},
            unreadable={
                role: {"pictures": count, "example": self._example[role]}
                for role, count in self._unreadable.items()
            },
            weights=self.loaded.files,
            counts={metric: self._counts[metric] for metric in PAIR_METRICS},
        )

    def _reason(self, metric: str) -> str:
        """Why no pair has a metric."""
        if metric == "cfsd" and self._counts["lpips"]:
            return TOO_LARGE
        return self._nothing("style" if metric == "histogram_loss" else "content")

    def _nothing(self, role: str) -> str:
        role = "result" if "result" in self._example else role
        return f"no {role} can be read ({self._example.get(role, 'unknown')})"

    def _add_trouble(self, block: pa.Table) -> None:
        for line in block["trouble"].drop_null().to_pylist():
            role, _, why = line.partition(": ")
            self._unreadable[role] += 1
            self._example.setdefault(role, why)


def _stacked(block: pa.Table) -> np.ndarray:
    """The features of rows, [N, 2048]."""
    return np.stack([row.values.to_numpy() for row in block["features"]])
