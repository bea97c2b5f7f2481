"""The worst pairs: limits of the measures, and a pair's distance beyond them.

| measure | limit | reason |
|---|---|---|
| structure | below 0.1 | the parts of the content can no longer be told apart |
| edges | below 0.1 | few outlines of the content are where they were |
| blank | above 0.9 | nine of ten cells of the picture are flat |
| copy | above 0.97 | hardly any difference from the content is visible |
| color | below 0 | the colours are farther from the style's than the content's were |
| sharpness | below 0.1 | ten times softer than the content |
| sharpness | above 6 | noise; brushwork stays below |

The limits are wide, set by eye on pictures of the embedded model. Stricter bounds depend on model
and purpose: they belong in a `reject` rule. Saturation has no limit, since a grey style makes grey
pictures.

The bounds of a run's rule replace the limits of the measures that it names. Rejected pairs are the
worst, then pairs beyond another limit. Within each group, pairs are ordered by their greatest
excess over a limit, as a share of the distance from the limit to the end of the measure's range: 0
at the limit, 1 at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from styleid_ray.quality.rule import Condition, Rule, reject_rule
from styleid_ray.report.measures import QUALITY

_MEASURES = {measure.name: measure for measure in QUALITY}


@dataclass(frozen=True)
class Limit:
    """A bound of a measure."""

    measure: str
    above: bool
    """Whether values above the bound are bad; else values below."""
    value: float
    words: str
    """The reason; the page shows the value after it."""
    rule: bool = False
    """Whether it comes from the run's `reject` rule. Such a bound counts for rejected pairs alone,
    since a rule may join bounds by `and`."""

    @property
    def label(self) -> str:
        """The measure's name on the page."""
        return _MEASURES[self.measure].label

    @property
    def room(self) -> float:
        """Distance from the limit to the end of the measure's range, above 0."""
        measure = _MEASURES[self.measure]
        return max(measure.high - self.value if self.above else self.value - measure.low, 1e-6)

    def excess(self, values: np.ndarray) -> np.ndarray:
        """Distance [rows] of values beyond the limit as a share of `room`, at most 1; 0 or less for
        values within it, -inf for NaN."""
        beyond = (values - self.value) / self.room
        return np.where(np.isnan(values), -np.inf, np.minimum(beyond if self.above else -beyond, 1))


LIMITS = (
    Limit("structure", False, 0.1, "little structure kept"),
    Limit("edges", False, 0.1, "few edges kept"),
    Limit("blank", True, 0.9, "nearly blank"),
    Limit("copy", True, 0.97, "nearly the content"),
    Limit("color", False, 0.0, "colours farther from the style's"),
    Limit("sharpness", False, 0.1, "blurred"),
    Limit("sharpness", True, 6.0, "noisy"),
)
_WORDS = {(limit.measure, limit.above): limit.words for limit in LIMITS}


@dataclass(frozen=True)
class Gate:
    """The rule and the limits that decide which pairs of a run are the worst."""

    rule: Rule | None
    """The run's `reject` rule."""
    limits: tuple[Limit, ...]
    """The bounds of the rule, and `LIMITS` of the measures that it does not name."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Gate:
        """The gate of a run's stored options. Raises ConfigError for an invalid rule."""
        rule = reject_rule(config.get("reject"))
        own = list(map(_limit, rule.conditions)) if rule else []
        named = {limit.measure for limit in own}
        return cls(rule, (*own, *(limit for limit in LIMITS if limit.measure not in named)))

    def rejected(self, qualities: pa.Array) -> np.ndarray:
        """Mask [rows] of a column `quality`: whether the rule rejects the row."""
        if self.rule is None:
            return np.zeros(len(qualities), bool)
        mask = self.rule.rejects(pa.table({"quality": qualities}))
        return mask.to_numpy(zero_copy_only=False)

    def badness(self, measures: Mapping[str, np.ndarray], rejected: np.ndarray) -> np.ndarray:
        """Badness [rows] of pairs: from 1 to 2 for rejected pairs, above 0 and at most 1 for pairs
        beyond another limit, else 0 or less."""
        own = np.where(rejected, 0.0, -np.inf)
        worst = np.full(len(rejected), -np.inf)
        for limit in self.limits:
            excess = limit.excess(measures[limit.measure])
            if limit.rule:
                own = np.maximum(own, np.where(rejected, excess, -np.inf))
            else:
                worst = np.maximum(worst, excess)
        return np.where(rejected, 1 + np.maximum(own, worst), worst)


def _limit(condition: Condition) -> Limit:
    name, above, value = condition.name, condition.operator[0] == ">", condition.number
    words = f"{_MEASURES[name].label} {'above' if above else 'below'} {value:g}"
    return Limit(name, above, value, _WORDS.get((name, above), words), True)
