"""Rules over the quality columns that reject pairs, such as `structure<0.4 or blank>0.9`.

rule       = condition, or conditions joined by `and` and `or`; `and` binds tighter
condition  = name operator number, or a rule in parentheses
operator   = < <= > >=

A measure that is null fulfils no condition. The grammar is a part of Python's, which parses it.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import inf
from typing import Any

from styleid_ray.errors import ConfigError
from styleid_ray.quality.columns import COLUMN, MEASURES

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_FORM = (
    "write conditions with <, <=, > or >=, joined by 'and' or 'or', "
    "like 'structure<0.4 or blank>0.9'"
)


@dataclass(frozen=True)
class Condition:
    """One measure beside a number."""

    name: str
    operator: str
    """One of < <= > >=."""
    number: float


@dataclass(frozen=True)
class Rule:
    """A checked rule."""

    text: str
    """In normal form. It reads back as the same rule."""
    conditions: tuple[Condition, ...]
    """All of them, from left to right."""

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> list[str]:
        """The measures in the rule, in the column's order."""
        used = {condition.name for condition in self.conditions}
        return [name for name in MEASURES if name in used]

    def rejects(self, table: Any) -> Any:
        """The rejected rows of a table with the quality column as a mask, a pyarrow BooleanArray
        without nulls."""
        import numpy as np
        import pyarrow as pa

        mask = np.zeros(table.num_rows, bool)
        rows = table.select([COLUMN]).append_column("row", pa.array(np.arange(table.num_rows)))
        mask[rows.filter(_expression(_parsed(self.text)))["row"].to_numpy()] = True
        return pa.array(mask)

    def measured(self, table: Any) -> list[str]:
        """Measures of the rule that have a value in some row of a table."""
        column = table[COLUMN].combine_chunks()
        return [name for name in self.names if column.field(name).null_count < len(column)]


def no_value(names: Sequence[str]) -> str:
    """A line on measures of a rule without a value in any pair of a run."""
    return (
        f"no pair has a value of {', '.join(names)}: conditions on it reject nothing "
        "(docs/quality.md says when a measure has none)"
    )


def parse_rule(text: str) -> Rule:
    """The rule in a text.

    Raises:
        ValueError: the text is no rule; the message names the fault, its place and the valid form.
    """
    if not text.strip():
        raise ValueError(f"it is empty: {_FORM}, or leave it out")
    if "#" in text:  # Python would ignore the rest
        raise ValueError(f"'#' begins no condition: {_FORM}")
    try:
        tree = _parsed(text)
        return Rule(_text(tree), tuple(_conditions(tree)))
    except SyntaxError as e:
        rest = (e.text or "")[e.offset - 1 :].strip() if e.offset else ""
        at = repr(rest[:40]) if rest else "the end"
        fault = re.split(r"[.;]", e.msg)[0]  # without Python's own advice
        raise ValueError(f"{fault} at {at}: {_FORM}") from None
    except (RecursionError, MemoryError):
        raise ValueError(f"it is nested too deeply: {_FORM}") from None


def reject_rule(text: str | None) -> Rule | None:
    """The rule of `--reject`, or None. Raises ConfigError where `parse_rule` raises ValueError."""
    try:
        return None if text is None else parse_rule(text)
    except ValueError as e:
        raise ConfigError(f"--reject {text!r}: {e}") from None


def _parsed(text: str) -> ast.expr:
    return ast.parse(" ".join(text.split()), mode="eval").body


def _condition(node: ast.expr) -> Condition:
    """A comparison as a condition; ValueError if it is none."""
    match node:
        case ast.Compare(ast.Name(name), [sign], [limit]) if type(sign) in _OPERATORS:
            if name not in MEASURES:
                raise ValueError(f"there is no measure {name!r}: use one of {', '.join(MEASURES)}")
            return Condition(name, _OPERATORS[type(sign)], _number(limit))
    raise ValueError(f"{ast.unparse(node)!r} is no condition: {_FORM}")


def _number(node: ast.expr) -> float:
    text = ast.unparse(node)
    try:
        number = float(text)
    except ValueError:
        number = inf
    if abs(number) < inf:
        return number
    raise ValueError(f"{text!r} is no finite number: {_FORM}")


def _conditions(node: ast.expr) -> list[Condition]:
    if isinstance(node, ast.BoolOp):
        return [condition for part in node.values for condition in _conditions(part)]
    return [_condition(node)]


def _text(node: ast.expr) -> str:
    if not isinstance(node, ast.BoolOp):
        condition = _condition(node)
        return f"{condition.name}{condition.operator}{condition.number:.12g}"
    if isinstance(node.op, ast.Or):  # `and` needs no parentheses there
        return " or ".join(map(_text, node.values))
    parts = ((f"({_text(x)})" if isinstance(x, ast.BoolOp) else _text(x)) for x in node.values)
    return " and ".join(parts)


def _expression(node: ast.expr) -> Any:
    """A `pyarrow.compute.Expression` on the column `quality`. Where a measure is null it may be
    null instead of false; a filter drops both."""
    from styleid_ray.arrow import pc

    if isinstance(node, ast.BoolOp):
        join = operator.or_ if isinstance(node.op, ast.Or) else operator.and_
        return reduce(join, map(_expression, node.values))
    condition = _condition(node)
    compare = _COMPARE[condition.operator]
    return compare(pc.field(COLUMN, condition.name), condition.number)
