"""Rules that reject pairs by their quality columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

from styleid_ray.errors import ConfigError
from styleid_ray.quality.columns import MEASURES, quality_type
from styleid_ray.quality.rule import parse_rule, reject_rule


def rows(*measures: dict[str, float | None] | None) -> pa.Table:
    whole = [None if m is None else dict.fromkeys(MEASURES) | m for m in measures]
    return pa.table({"quality": pa.array(whole, quality_type())})


def rejected(rule: str, *measures: dict[str, float | None] | None) -> list[bool]:
    return parse_rule(rule).rejects(rows(*measures)).to_pylist()


def test_either_condition_of_an_or_rejects_a_pair() -> None:
    pairs = (
        {"structure": 0.3, "blank": 0.0},
        {"structure": 0.5, "blank": 0.95},
        {"structure": 0.5, "blank": 0.9},
    )
    assert rejected("structure<0.4 or blank>0.9", *pairs) == [True, True, False]


def test_and_binds_tighter_than_or_and_parentheses_change_that() -> None:
    pair = {"structure": 0.3, "blank": 0.0, "color": 0.9}
    assert rejected("structure<0.4 or blank>0.9 and color<0.5", pair) == [True]
    assert rejected("(structure<0.4 or blank>0.9) and color<0.5", pair) == [False]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("<", [True, False, False]),
        ("<=", [True, True, False]),
        (">", [False, False, True]),
        (">=", [False, True, True]),
    ],
)
def test_every_operator_compares_as_in_python(operator: str, expected: list[bool]) -> None:
    values = [{"copy": value} for value in (0.25, 0.5, 0.75)]
    assert rejected(f"copy{operator}0.5", *values) == expected


def test_a_measure_without_a_value_rejects_nothing_and_hides_no_other_condition() -> None:
    pairs = ({"structure": None, "blank": 1.0}, {"structure": None, "blank": 0.0}, None)
    assert rejected("structure<0.4 or blank>0.9", *pairs) == [True, False, False]
    assert rejected("structure<0.4 and blank>0.9", *pairs) == [False, False, False]


@pytest.mark.parametrize(
    "text",
    [
        "structure<0.4 or blank>0.9",
        "(structure<0.4 or blank>0.9) and sharpness<=1e-3",
        "color<-0.5 and edges>=.25 or copy>0.99",
        "((blank>0.9))",
        " or ".join(["blank>0.9"] * 1000),
    ],
)
def test_a_rule_written_out_reads_back_as_the_same_rule(text: str) -> None:
    rule = parse_rule(text)
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" ( structure <.40 )or\n blank> 0.9 ", "structure<0.4 or blank>0.9"),
        ("(blank>1 or copy>2) or edges<-3e-5", "blank>1 or copy>2 or edges<-3e-05"),
        (
            "blank>1 and (copy>2 and (edges<3 or color>+4))",
            "blank>1 and (copy>2 and (edges<3 or color>4))",
        ),
    ],
)
def test_the_text_of_a_rule_does_not_depend_on_spaces_or_needless_parentheses(
    text: str, normal: str
) -> None:
    assert str(parse_rule(text)) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--reject '': it is empty"),
        ("sharp<1", "no measure 'sharp': use one of color, structure, edges, saturation, blank"),
        ("blank", "'blank' is no condition: write conditions with <, <=, > or >=, joined by"),
        ("blank>", "invalid syntax at the end: write"),
        ("blank>0.9 copy>1", "invalid syntax at 'copy>1': write .* joined by 'and' or 'or'"),
        ("(blank>0.9 copy>1)", "invalid syntax at .*: write"),
        ("blank>0.9 # and copy>1", "'#' begins no condition: write"),
        ("blank=0.9", "invalid syntax at '=0.9': write conditions with <"),
        ("(blank>0.9", r"'\(' was never closed at '\(blank>0.9'"),
        ("blank(0.9", r"'\(' was never closed at '\(0.9'"),
        ("0.9<blank", "'0.9 < blank' is no condition: write .* like 'structure<0.4"),
        ("not blank>0.9", "'not blank > 0.9' is no condition"),
        ("blank>high", "'high' is no finite number: write"),
        ("sharpness>1e999", "is no finite number: write"),
        ("(" * 3000 + "blank>1" + ")" * 3000, "too many nested parentheses"),
        ("not " * 30_000 + "blank>1", "nested too deeply: write"),
    ],
)
def test_a_wrong_rule_is_one_line_that_names_fault_and_form(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        reject_rule(text)
    assert "\n" not in str(error.value)
