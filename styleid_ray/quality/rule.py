"""Rules over the quality columns that reject pairs, such as `structure<0.4 or blank>0.9`.

rule       = condition, or conditions joined by `and` and `or`; `and` binds tighter
condition  = name operator number, or a rule in parentheses
operator   = < <= > >=

A measure that is null fulfils no condition.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from styleid_ray.errors import ConfigError
from styleid_ray.quality.columns import COLUMN, MEASURES, has_quality

Operator = Literal["<", "<=", ">", ">="]
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|<|>|\(|\))|(?P<other>\S))"
)
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
}
_FORM = "write it like 'structure<0.4 or blank>0.9'"


@dataclass(frozen=True)
class Condition:
    """One measure beside a number."""

    name: str
    operator: Operator
    number: float

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.number:.12g}"


@dataclass(frozen=True)
class Joined:
    """At least two conditions: all (`and`) or one (`or`) must be fulfilled."""

    word: Literal["and", "or"]
    parts: tuple[Condition | Joined, ...]

    def __str__(self) -> str:
        texts = (f"({x})" if isinstance(x, Joined) else str(x) for x in self.parts)
        if self.word == "or":  # `and` needs no parentheses there
            texts = map(str, self.parts)
        return f" {self.word} ".join(texts)


@dataclass(frozen=True)
class Rule:
    """A checked rule. Its text reads back as the same rule."""

    condition: Condition | Joined

    def __str__(self) -> str:
        return str(self.condition)

    @property
    def names(self) -> list[str]:
        """The measures in the rule, in the column's order."""
        used = set(_names(self.condition))
        return [name for name in MEASURES if name in used]

    def rejects(self, table: Any) -> Any:
        """The rejected rows of a table as a mask, a pyarrow BooleanArray without nulls.

        It is false for a table without the quality column (`columns.has_quality`).
        """
        import numpy as np
        import pyarrow as pa

        mask = np.zeros(table.num_rows, bool)
        if has_quality(table.schema):
            rows = table.select([COLUMN]).append_column("row", pa.array(np.arange(table.num_rows)))
            mask[rows.filter(_expression(self.condition))["row"].to_numpy()] = True
        return pa.array(mask)


def no_value(names: Sequence[str]) -> str:
    """A line on measures of a rule without a value in any pair of a run."""
    return (
        f"no pair has a value of {', '.join(names)}: that part of the rule rejects nothing "
        "(docs/quality.md says when a measure has none)"
    )


def parse_rule(text: str) -> Rule:
    """The rule in a text.

    Raises:
        ValueError: the text is no rule; the message names the place and the valid names.
    """
    tokens = [(str(m.lastgroup), m[0].strip()) for m in _TOKEN.finditer(text)]
    if not tokens:
        raise ValueError(f"it is empty: {_FORM}, or leave it out")
    reader = _Reader(tokens)
    condition = reader.rule()
    if reader.at < len(tokens):
        raise reader.fault("'and' or 'or'")
    return Rule(condition)


def reject_rule(text: str | None) -> Rule | None:
    """The rule of `--reject`, or None. Raises ConfigError where `parse_rule` raises ValueError."""
    try:
        return None if text is None else parse_rule(text)
    except ValueError as e:
        raise ConfigError(f"--reject {text!r}: {e}") from None


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.at = tokens, 0

    def rule(self) -> Condition | Joined:
        return self._joined("or", lambda: self._joined("and", self._condition))

    def _joined(self, word: Literal["and", "or"], part: Any) -> Condition | Joined:
        parts = [part()]
        while self._next() == ("name", word):
            self.at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _condition(self) -> Condition | Joined:
        if self._next() == ("sign", "("):
            self.at += 1
            inner = self.rule()
            if self._next() != ("sign", ")"):
                raise self.fault("')'")
            self.at += 1
            return inner
        name = self._take("name", "a measure")
        if name not in MEASURES:
            raise ValueError(f"there is no measure {name!r}: use one of {', '.join(MEASURES)}")
        sign: Any = self._take("sign", "<, <=, > or >=", "()")
        return Condition(name, sign, float(self._take("number", "a number")))

    def _take(self, kind: str, wanted: str, but: str = "") -> str:
        actual, value = self._next()
        if actual != kind or value in tuple(but):
            raise self.fault(wanted)
        self.at += 1
        return value

    def _next(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def fault(self, wanted: str) -> ValueError:
        """The error at the next token."""
        token = self._next()[1]
        where = f"{token!r}" if token else "the end"
        return ValueError(f"{wanted} is missing before {where}: {_FORM}")


def _names(condition: Condition | Joined) -> list[str]:
    if isinstance(condition, Condition):
        return [condition.name]
    return [name for part in condition.parts for name in _names(part)]


def _expression(condition: Condition | Joined) -> Any:
    """A `pyarrow.compute.Expression` on the column `quality`. Where a measure is null it may be
    null instead of false; a filter drops both."""
    from styleid_ray.arrow import pc

    if isinstance(condition, Condition):
        return _OPERATORS[condition.operator](pc.field(COLUMN, condition.name), condition.number)
    return reduce(_OPERATORS[condition.word], map(_expression, condition.parts))
