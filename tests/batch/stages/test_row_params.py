"""A row says which controls made its picture, and no more than its run used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.stages.row_params import PARAMS, RowParams

Job = Callable[..., JobConfig]
PLAIN = {"gamma": None, "temperature": None}


def fields(params: RowParams) -> list[str]:
    return params.type.names[len(PARAMS.names) :]


def test_a_run_without_controls_has_the_fields_it_always_had(job: Job) -> None:
    params = RowParams.of(job(), "abc")
    assert params.type.equals(PARAMS)
    assert list(params.of_pair(PLAIN)) == PARAMS.names
    assert params.of_pair(PLAIN | {"gamma": 0.3})["gamma"] == 0.3
    for idle in ({"adain": False}, {"low_frequency": 1.0}, {"detail": 0.0}, {"gamma": "0.3,0.6"}):
        assert RowParams.of(job(**idle), None).type.equals(PARAMS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"adain": 0.5}, {"adain_strength": 0.5}),
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
        ({"preset": "scheduled", "inject": False}, {}),
    ],
)
def test_a_control_that_is_used_has_its_fields_and_no_others(
    job: Job, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    params = RowParams.of(job(**options), None)
    row = params.of_pair(PLAIN)
    assert {name: row[name] for name in fields(params)} == expected
    stored = pa.array([row], params.type)[0].as_py()
    assert stored == row | {"layers": list(row["layers"])}
    if "gamma_schedule" in expected:
        assert row["gamma"] is None


def test_a_pair_with_a_gamma_of_its_own_has_no_schedule(job: Job) -> None:
    params = RowParams.of(job(gamma="linear:0.9:0.5", steps=4), None)
    row = params.of_pair(PLAIN | {"gamma": 0.25})
    assert (row["gamma"], row["gamma_schedule"]) == (0.25, None)
    assert params.of_pair(PLAIN)["gamma_schedule"] == "linear:0.9:0.5"


def test_a_share_of_adain_is_adain(job: Job) -> None:
    assert RowParams.of(job(adain=0.5), None).of_pair(PLAIN)["adain"] is True
    assert RowParams.of(job(adain=0.0), None).of_pair(PLAIN)["adain"] is False
