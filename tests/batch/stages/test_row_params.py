"""A row says which parameters made its picture, in the same fields in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.stages.row_params import PARAMS, params_of_job, params_of_pair

Job = Callable[..., JobConfig]
PLAIN = {"gamma": None, "temperature": None}
NEUTRAL = {
    "gamma_schedule": "",
    "temperature_schedule": "",
    "adain_strength": 1.0,
    "low_frequency": 1.0,
    "detail": 0.0,
    "detail_luminance": False,
    "masks": False,
    "region_styles": "",
    "vae": "",
    "lora": "",
    "tile": 0,
    "vae_tile": 0,
    "method": "styleid",
}


def test_a_run_without_controls_has_their_neutral_values_and_no_null(job: Job) -> None:
    params = params_of_job(job(), "abc")
    assert list(params) == PARAMS.names
    assert {name: params[name] for name in NEUTRAL} == NEUTRAL
    assert None not in params.values()
    assert params_of_pair(params, PLAIN | {"gamma": 0.3})["gamma"] == 0.3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"adain": 0.5}, {"adain_strength": 0.5}),
        ({"adain": False}, {"adain_strength": 0.0}),
        ({"low_frequency": 0.8}, {"low_frequency": 0.8}),
        ({"detail": 0.5, "detail_luminance": True}, {"detail": 0.5, "detail_luminance": True}),
        ({"masks": "masks"}, {"masks": True}),
        ({"vae": "someone/vae@abc"}, {"vae": "someone/vae@abc"}),
        (
            {"lora": "a/b.safetensors,c.safetensors:.5"},
            {"lora": "b.safetensors:1,c.safetensors:0.5"},
        ),
        ({"gamma": "cosine:0.75:0.375", "steps": 4}, {"gamma_schedule": "cosine:0.75:0.375"}),
        ({"temperature": "6-8=1.2,9-11=2"}, {"temperature_schedule": "6-8=1.2,9-11=2"}),
        ({"preset": "scheduled", "steps": 4}, {"gamma_schedule": "cosine:0.75:0.375"}),
        ({"gamma": "0.3,0.6"}, {}),
    ],
)
def test_a_control_that_is_used_is_in_its_fields_and_the_others_are_neutral(
    job: Job, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    row = params_of_job(job(**options), None)
    assert {name: row[name] for name in NEUTRAL} == NEUTRAL | expected
    stored = pa.array([row], PARAMS)[0].as_py()
    assert stored == row | {"layers": list(row["layers"])}
    if "gamma_schedule" in expected:
        assert row["gamma"] is None


def test_a_pair_with_a_gamma_of_its_own_has_no_schedule(job: Job) -> None:
    params = params_of_job(job(gamma="linear:0.9:0.5", steps=4), None)
    row = params_of_pair(params, PLAIN | {"gamma": 0.25})
    assert (row["gamma"], row["gamma_schedule"]) == (0.25, "")
    assert params_of_pair(params, PLAIN)["gamma_schedule"] == "linear:0.9:0.5"


def test_a_share_of_adain_is_adain(job: Job) -> None:
    assert params_of_job(job(adain=0.5), None)["adain"] is True
    assert params_of_job(job(adain=0.0), None)["adain"] is False
