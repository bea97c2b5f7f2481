"""The metrics of drawn pictures, against values by another route."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from styleid_ray.evaluation.meter import Meter
from tests.evaluation.conftest import Networks
from tests.evaluation.drawn import blend, draw


@pytest.fixture(scope="module")
def meter(networks: Networks) -> Meter:
    return Meter(networks)


def test_a_pair_has_the_values_of_torchvision_and_lpips(
    meter: Meter, expected: dict[str, Any]
) -> None:
    for pair in expected["pairs"][:2]:
        content, style = pair["content"], pair["style"]
        values = meter.pair(blend(content, style), (content, draw(content)), (style, draw(style)))
        for metric, value in values.items():
            assert value == pytest.approx(pair[metric], rel=1e-5), metric


def test_a_copy_of_the_content_and_of_the_style_is_at_no_distance(meter: Meter) -> None:
    picture = draw("a")
    values = meter.pair(picture, ("a", picture), ("a", picture))
    assert values == {"lpips": 0, "lpips_gray": 0, "cfsd": 0, "histogram_loss": 0}


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_a_constant_picture_has_finite_values(meter: Meter, colour: tuple[int, ...]) -> None:
    constant = Image.new("RGB", (64, 48), colour)
    picture = draw("a", (64, 48))
    for result, source in ((constant, picture), (picture, constant), (constant, constant)):
        values = meter.pair(result, (f"{colour}", source), (f"{colour}", source))
        assert all(np.isfinite(value) and value >= 0 for value in values.values() if value)


def test_a_content_of_one_name_and_another_size_is_not_taken_for_it(meter: Meter) -> None:
    for size in ((64, 64), (80, 64)):
        picture = draw("a", size)
        assert meter.pair(picture, ("a", picture), None)["lpips"] == 0


def test_pictures_of_several_shapes_have_the_features_of_each_alone(meter: Meter) -> None:
    pictures = [draw("a", (40, 40)), draw("b", (40, 30)), draw("c", (40, 40))]
    together = meter.features(pictures)
    for picture, features in zip(pictures, together, strict=True):
        (alone,) = meter.features([picture])
        assert features is not None
        assert alone is not None
        np.testing.assert_allclose(features, alone, rtol=1e-4, atol=1e-5)


def test_without_networks_the_histogram_loss_is_left() -> None:
    values = Meter({}).pair(blend("a", "x"), ("a", draw("a")), ("x", draw("x")))
    assert values["histogram_loss"]
    assert [name for name, value in values.items() if value is None] == [
        "lpips",
        "lpips_gray",
        "cfsd",
    ]


def test_a_picture_with_too_many_patches_has_no_cfsd(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleid_ray.evaluation.meter.MOST_PATCHES", 100)
    meter = Meter({"vgg19": networks["vgg19"]})
    for size, measured in (((40, 40), True), ((41, 40), False)):
        picture = draw("a", size)
        assert (meter.pair(picture, ("a", picture), None)["cfsd"] is not None) == measured
