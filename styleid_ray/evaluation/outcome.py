"""The metrics of a set of stylised pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styleid_ray.evaluation.names import GROUPS, NAMES
from styleid_ray.evaluation.published import PAIRS_OF_THE_PAPER, table

METRICS = ("fid", "lpips", "lpips_gray", "cfsd", "histogram_loss", "artfid")


def without(missing: Mapping[str, str]) -> list[str]:
    """Lines on the metrics that cannot be computed, those of one reason together.

    Args:
        missing: reasons by metric.
    """
    lines = []
    for reason in dict.fromkeys(missing.values()):
        names = ", ".join(NAMES[metric] for metric, why in missing.items() if why == reason)
        lines.append(f"without {names}: {reason}")
    return lines


TOO_LARGE = "pictures above 1024 x 1024 pixels have too many patches"


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a set, and what they were taken of."""

    values: Mapping[str, float | None]
    """By the names in `METRICS`; lower is better for each."""
    pairs: int
    contents: int
    """Distinct ones."""
    styles: int
    missing: Mapping[str, str]
    """Why a metric is None."""
    unreadable: Mapping[str, Mapping[str, Any]]
    """By "result", "content" and "style": how many pictures, and why for one of them."""
    weights: Mapping[str, Mapping[str, str]]
    """File and SHA-256 of each network."""
    counts: Mapping[str, int]
    """Pairs that have each of the metrics of single pairs."""
    size: int | None = None
    """`--size` of a run, in pixels."""
    shards: str | None = None
    """`stamp` of a run's pictures."""

    @property
    def exit_status(self) -> int:
        """0 when every metric is that of all pairs, else 1."""
        return 1 if self.missing or self.unreadable else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            **self.values,
            "pairs": self.pairs,
            "contents": self.contents,
            "styles": self.styles,
            "missing": dict(self.missing),
            "unreadable": {role: dict(what) for role, what in self.unreadable.items()},
            "weights": {name: dict(file) for name, file in self.weights.items()},
            "counts": dict(self.counts),
            "shards": self.shards,
        }

    def as_json(self) -> str:
        """The same as text."""
        return json.dumps(self.as_dict(), indent=1)

    def lines(self) -> list[str]:
        """For a person."""
        lines = [f"{self.pairs:,} pictures: {self.contents:,} contents, {self.styles:,} styles"]
        for group, names in GROUPS.items():
            for metric, name in names.items():
                value = self.values[metric]
                text = "-" if value is None else f"{value:.4f}"
                lines.append(f"{group:<8} {name:<15} {text}")
                group = ""
        lines += without(self.missing)
        for role, what in self.unreadable.items():
            lines.append(f"{what['pictures']:,} not read ({role}): {what['example']}")
        if 0 < self.counts["cfsd"] < self.counts["lpips"]:
            lines.append(f"CFSD of {self.counts['cfsd']:,} pairs alone: {TOO_LARGE}")
        numbers = (self.contents, self.styles, self.pairs)
        if numbers == PAIRS_OF_THE_PAPER and self.size in (None, 512):
            lines += ["", *table(self.values)]
        return lines
