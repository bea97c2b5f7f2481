"""The text of --region-styles says which column holds the style of which class."""

from __future__ import annotations

import pytest

from styleid_ray.errors import ConfigError
from styleid_ray.planning.further_styles import parse_region_styles


def test_classes_are_given_columns_and_may_share_one() -> None:
    assert parse_region_styles("1=style2, 7=style3") == {1: "style2", 7: "style3"}
    assert parse_region_styles("0=style2,255=style2") == {0: "style2", 255: "style2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be classes, 0 to 255"),
        ("style2", "must be classes, 0 to 255"),
        ("256=style2", "must be classes, 0 to 255"),
        ("-1=style2", "must be classes, 0 to 255"),
        ("1=style2,", "must be classes, 0 to 255"),
        ("1=style", "style is none of style2 to style9"),
        ("1=art", "art is none of style2 to style9"),
        ("1=style10", "style10 is none of"),
        ("1=style2,1=style3", "class 1 is named twice"),
        ("1=style2,01=style3", "class 1 is named twice"),
    ],
)
def test_a_text_that_is_not_clear_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"--region-styles '{text}': {message}"):
        parse_region_styles(text)
