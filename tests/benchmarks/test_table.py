"""How figures are printed."""

from benchmarks.table import Table


def test_a_table_prints_as_markdown_with_its_notes() -> None:
    rows = [{"pairs": 10_000, "ratio": 0.98765, "s": 12345.6, "peak": None}]
    assert str(Table("Speed", rows, ["one machine"])).splitlines() == [
        "### Speed",
        "",
        "| pairs  | ratio | s      | peak |",
        "| ------ | ----- | ------ | ---- |",
        "| 10,000 | 0.988 | 12,346 | -    |",
        "",
        "- one machine",
    ]


def test_a_measurement_that_was_left_out_prints_its_reason_alone() -> None:
    assert str(Table("GPU", [], ["skipped"])).splitlines() == ["### GPU", "", "- skipped"]
