"""Options that list values, and the columns that they make."""

from __future__ import annotations

from typing import Any

import pytest

from styleid_ray.errors import ConfigError
from styleid_ray.preview.sweep import OPTIONS, SWEPT, read_columns

SOURCES = {"content": "c", "style": "s", "output": "o"}


def labels(**options: Any) -> list[tuple[str, ...]]:
    return [column.labels for column in read_columns(SOURCES | options)[1]]


def test_lists_of_two_options_give_every_combination_the_first_outermost() -> None:
    assert labels(temperature="1,1.5", gamma="0.3,0.6") == [
        ("gamma 0.3", "temperature 1"),
        ("gamma 0.3", "temperature 1.5"),
        ("gamma 0.6", "temperature 1"),
        ("gamma 0.6", "temperature 1.5"),
    ]


def test_every_column_has_its_own_parameters() -> None:
    _, columns = read_columns(SOURCES | {"gamma": "0.3,0.6", "adain": "0,0.5,1", "steps": 4})
    made = [(c.params.gamma, c.params.adain, c.params.steps) for c in columns]
    assert made[:3] == [(0.3, False, 4), (0.3, 0.5, 4), (0.3, True, 4)]
    assert len(made) == 6


def test_a_range_shows_its_ends_and_its_middle() -> None:
    assert labels(gamma="0.5..0.9") == [("gamma 0.5",), ("gamma 0.7",), ("gamma 0.9",)]


def test_semicolons_separate_schedules_and_lists() -> None:
    text = "0.3,0.6; cosine:0.75:0.375 ;6-8=0.9,9-11=0.5"
    assert [label for (label,) in labels(gamma=text)] == [
        *("gamma 0.3", "gamma 0.6", "gamma cosine:0.75:0.375", "gamma 6-8=0.9,9-11=0.5")
    ]


def test_without_a_list_there_is_one_column_without_a_heading() -> None:
    assert labels(gamma="0.3") == [()]


def test_methods_side_by_side_have_the_options_that_they_use() -> None:
    options = {"method": "mkl,latent-adain,styleid", "gamma": "0.3,0.6", "model": "demo"}
    config, columns = read_columns(SOURCES | options)
    assert [(c.method, c.labels, c.params.gamma) for c in columns] == [
        ("mkl", ("method mkl", ""), None),
        ("latent-adain", ("method latent-adain", ""), None),
        ("styleid", ("method styleid", "gamma 0.3"), 0.3),
        ("styleid", ("method styleid", "gamma 0.6"), 0.6),
    ]
    assert (config.method, config.model) == ("styleid", "demo")
    assert [dict(c.values) for c in columns[1:3]] == [
        {"method": "latent-adain"},
        {"method": "styleid", "gamma": "0.3"},
    ]


def test_a_column_without_detail_is_compared_with_those_that_add_luminance() -> None:
    _, columns = read_columns(SOURCES | {"detail": "0,0.5", "detail_luminance": True})
    assert [(c.params.detail, c.params.detail_luminance) for c in columns] == [
        (0.0, False),
        (0.5, True),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": "0.3,2"}, "--gamma: must be greater than or equal to 0"),
        ({"gamma": "0.3;0.9..0.5"}, "--gamma: the range 0.9..0.5 is reversed"),
        ({"gamma": "0.3;0.30"}, "--gamma: the list names 0.3 twice"),
        ({"gamma": "0.3;"}, "--gamma: must be a number such as"),
        ({"temperature": "1,hot"}, "--temperature: a list holds numbers alone"),
        ({"adain": "0,none"}, "--adain: must be a share"),
        ({"adain": "1,true"}, "--adain: the list names True twice"),
        ({"preset": "paper,mine"}, "--preset: must be paper, scheduled or diffusers"),
        ({"steps": "10,1"}, "--steps: must be greater"),
        ({"low_frequency": "0.5,"}, "--low-frequency: must be a number"),
        ({"gamma": "0.3,0.6", "inject": False}, "--gamma: no effect without injection"),
        ({"method": "mkl,pca"}, "--method: must be styleid,"),
        ({"method": "mkl,adain", "gamma": "0.3,0.6"}, "--gamma has no effect with --method mkl"),
        ({"method": "styleid,mkl", "masks": "m"}, "--masks has no effect with --method mkl"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_option(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read_columns(SOURCES | options)
    assert str(error.value).startswith(message)


def test_more_columns_than_a_page_shows_are_refused_with_their_number() -> None:
    many = ",".join(f"0.{n:02}" for n in range(1, 22))
    with pytest.raises(ConfigError, match=r"21 of --gamma x 3 of --adain: 63 columns"):
        read_columns(SOURCES | {"gamma": many, "adain": "0,0.5,1"})


def test_every_option_that_lists_values_is_one_of_a_job() -> None:
    assert set(SWEPT) < set(OPTIONS)
    assert not {"variants", "shard_pairs", "actors", "push_to"} & set(OPTIONS)
