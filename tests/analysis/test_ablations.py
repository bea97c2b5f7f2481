"""The variants of an analysis."""

from __future__ import annotations

import pytest

from styleid_ray import StyleParams
from styleid_ray.analysis.ablations import ablations, evaluations
from styleid_ray.errors import ConfigError


def test_each_part_is_switched_off_by_itself() -> None:
    variants = ablations(StyleParams())
    assert [variant.label for variant in variants] == [
        "full",
        "without AdaIN (adain off)",
        "without injection (inject off)",
        "without query preservation (gamma 0)",
        "without temperature (temperature 1)",
    ]
    full = variants[0].params.resolved().model_dump()
    for variant in variants[1:]:
        own = variant.params.resolved().model_dump()
        assert {name for name in own if own[name] != full[name]} == set(variant.changed)
    assert evaluations(variants) == 4 * 50 + 5 * 49


def test_a_part_that_is_already_off_is_no_ablation() -> None:
    variants = ablations(StyleParams(gamma=0, temperature=1))
    assert [x.name for x in variants] == ["full", "without AdaIN", "without injection"]


def test_an_analysis_without_adain_is_refused() -> None:
    with pytest.raises(ConfigError, match="--adain 0"):
        ablations(StyleParams(adain=False))


def test_values_that_are_drawn_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.2\.\.0\.8"):
        ablations(StyleParams(gamma="0.2..0.8"))
