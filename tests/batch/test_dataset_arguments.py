"""Arguments of `stylize_dataset` that are checked before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from styleid_ray import stylize_dataset
from styleid_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({}, r"ds is \['photo.png'\]: give a ray.data.Dataset"),
        ({"styles": ["s.png"]}, r"styles is \['s.png'\]: give one folder"),
        ({"image": 3}, "image is 3: give the name of the column"),
        ({"params": {"gamma": 0.5}}, r"params is \{'gamma': 0.5\}: give StyleParams"),
    ],
)
def test_an_argument_of_another_type_is_refused_in_one_line(
    wrong: dict[str, Any], line: str
) -> None:
    given: dict[str, Any] = {"ds": ["photo.png"], "styles": "style", **wrong}
    with pytest.raises(ConfigError, match=f"stylize_dataset: {line}"):
        stylize_dataset(**given)
