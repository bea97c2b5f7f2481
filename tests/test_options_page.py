from __future__ import annotations

from pathlib import Path

from docs.generate_options import options_page
from styleid_ray.config import JobConfig

PAGE = Path(__file__).parent.parent / "docs" / "options.md"


def test_the_page_of_options_is_the_one_that_the_configuration_generates() -> None:
    assert PAGE.read_text() == options_page(), "python -m docs.generate_options > docs/options.md"


def test_the_page_has_every_option_once_with_what_it_changes() -> None:
    rows = [line for line in options_page().splitlines() if line.startswith("| `--")]
    assert len(rows) == len(JobConfig.model_fields)
    row = next(row for row in rows if row.startswith("| `--gamma "))
    assert row.startswith("| `--gamma NUMBER\\|SCHEDULE\\|RANGE\\|LIST` |  | Query preservation")
    assert row.endswith("| picture |")
