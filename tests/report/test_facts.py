"""The parameters of a run or a row in words."""

from __future__ import annotations

from typing import Any

import pytest

from styleid_ray.report.facts import labelled, with_other_values


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"gamma": 0.75, "adain": True}, [("γ", "0.75"), ("AdaIN", "on")]),
        ({"gamma": None, "gamma_schedule": "linear:0.9:0.5"}, [("γ", "linear:0.9:0.5")]),
        ({"gamma": 0.25, "gamma_schedule": None}, [("γ", "0.25")]),
        ({"gamma": "0.5..0.9"}, [("γ", "0.5..0.9")]),
        ({"adain": True, "adain_strength": 0.5}, [("AdaIN", "0.5")]),
        ({"adain": 0.5}, [("AdaIN", "0.5")]),
        ({"adain": False}, [("AdaIN", "off")]),
        ({"low_frequency": 0.8, "detail": 0.5}, [("low frequencies", "0.8"), ("detail", "0.5")]),
        ({"masks": True}, [("masks", "on")]),
        ({"region_styles": "1=style2"}, [("styles of regions", "1=style2")]),
        ({"vae": "https://me:secret@host/kl"}, [("autoencoder", "https://host/kl")]),
        ({"lora": ["/home/me/ink.safetensors:0.5"]}, [("LoRA weights", "ink.safetensors:0.5")]),
        ({"lora": "ink.safetensors:1"}, [("LoRA weights", "ink.safetensors:1")]),
        ({"low_frequency": 1.0, "detail": 0.0, "detail_luminance": False, "masks": None}, []),
    ],
)
def test_controls_are_shown_where_they_are_used(
    params: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert labelled(params) == expected


@pytest.mark.parametrize(
    ("job", "of_pairs", "expected"),
    [
        ("0.75", ["0.75", "0.75"], "0.75"),
        ("0.75", ["0.75", "0.9"], "0.75 (some pairs: other values)"),
        ("0.75", ["linear:0.9:0.5"], "0.75 (some pairs: other values)"),
        ("0.75", [], "0.75"),
        ("0.5..0.9", ["0.6", "0.7"], "0.5..0.9"),
    ],
)
def test_pairs_with_another_gamma_are_mentioned_beside_that_of_the_run(
    job: str, of_pairs: list[str], expected: str
) -> None:
    pairs = [[("γ", value), ("steps", "50")] for value in of_pairs]
    params = with_other_values([("γ", job), ("steps", "50")], pairs)
    assert params == [("γ", expected), ("steps", "50")]
