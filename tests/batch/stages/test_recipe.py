"""Which pictures a pair is made of, by the columns of its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.stages.mask import regions_of
from styleid_ray.batch.stages.recipe import Recipe, Recipes

Job = Callable[..., JobConfig]


def plan(**columns: list[Any]) -> pa.Table:
    count = len(next(iter(columns.values()), ["a"]))
    return pa.table({"content": ["a"] * count, "style": ["s"] * count, **columns})


def second(styles: list[str | None], weights: list[float | None]) -> pa.Table:
    versions = pa.nulls(len(styles), pa.string())
    return plan(style2=styles, weight=weights).append_column("style2_version", versions)


def test_a_plain_pair_takes_its_content_and_style_alone(job: Job) -> None:
    (recipe,) = Recipes.of(job()).of_pairs(plan())
    assert recipe == Recipe("a", ("s",), (1.0,))
    assert recipe.pictures == [("content", "a"), ("style", "s")]


@pytest.mark.parametrize(
    ("style", "weight", "styles", "weights"),
    [
        ("t", 0.25, ("s", "t"), (0.75, 0.25)),
        (None, None, ("s",), (1.0,)),
    ],
)
def test_a_weight_is_the_share_of_the_second_style_if_there_is_one(
    job: Job, style: str | None, weight: float | None, styles: tuple[str], weights: tuple[float]
) -> None:
    (recipe,) = Recipes.of(job()).of_pairs(second([style], [weight]))
    assert (recipe.styles, recipe.weights) == (styles, weights)


def regional(job: Job, text: str) -> JobConfig:
    return job(pairing="table", table="t.csv", label_masks="labels", region_styles=text)


def test_each_region_has_its_style_once_however_many_classes_it_has(job: Job) -> None:
    config = regional(job, "7=style3,1=style2,9=style2")
    assert regions_of(config) == {1: 1, 9: 1, 7: 2}
    recipes = Recipes.of(config)
    (recipe,) = recipes.of_pairs(plan(style2=["t"], style3=["u"], weight=[0.5]))
    assert (recipe.styles, recipe.regions) == (("s", "t", "u"), (1, 2))
    assert recipe.pictures[-1] == ("label_map", "a")


def test_masks_and_label_maps_are_pictures_that_a_pair_needs(job: Job) -> None:
    (recipe,) = Recipes.of(job(masks="masks")).of_pairs(plan())
    assert recipe.pictures[-1] == ("mask", "a")
    (plain,) = Recipes.of(job(label_masks="labels")).of_pairs(plan())
    assert plain.masks == (), "label masks of an export are read by the export alone"
