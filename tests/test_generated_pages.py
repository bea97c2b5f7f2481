import inspect
import re
from pathlib import Path

import pytest

import styleid_ray
from docs.generate_options import options_page
from docs.generate_python import python_page
from styleid_ray.config import JobConfig

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["options", "python"])
def test_a_generated_page_is_up_to_date(name: str) -> None:
    page = {"options": options_page, "python": python_page}[name]()
    assert (DOCS / f"{name}.md").read_text() == page, (
        f"python -m docs.generate_{name} > docs/{name}.md"
    )


def test_the_page_of_python_explains_every_public_name_and_argument() -> None:
    page = python_page()
    for name in styleid_ray.__all__:
        assert f"## {name}\n" in page
    documented = {
        name for line in re.findall(r"^- `([\w, ]+)`:", page, re.M) for name in line.split(", ")
    }
    for name in ("StyleIDPipeline", "stylize_dataset"):
        assert set(inspect.signature(getattr(styleid_ray, name)).parameters) <= documented


def test_the_page_has_every_option_once_with_what_it_changes() -> None:
    rows = [line for line in options_page().splitlines() if line.startswith("| `--")]
    assert len(rows) == len(JobConfig.model_fields)
    row = next(row for row in rows if row.startswith("| `--gamma "))
    assert row.startswith("| `--gamma NUMBER\\|SCHEDULE\\|RANGE\\|LIST` |  | Query preservation")
    assert row.endswith("| picture |")
