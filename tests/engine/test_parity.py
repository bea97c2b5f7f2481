"""Every tensor of the authors' two implementations, reproduced in float32."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from styleid_ray import StyleParams
from styleid_ray.engine import transfer
from styleid_ray.engine.initial import ADAIN_FLOOR
from styleid_ray.engine.styleid import adain, stylise

TOLERANCE = 1e-4


def relative_error(got: Tensor, want: Tensor) -> float:
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize(
    ("reference", "preset", "prediction_type"),
    [
        ("expected_paper", "paper", "epsilon"),
        ("expected_diffusers", "diffusers", "epsilon"),
        ("expected_diffusers_v", "diffusers", "v_prediction"),
    ],
)
def test_every_reference_tensor_is_reproduced(
    parity: Path,
    inputs: dict[str, Any],
    make_pipe: Any,
    reference: str,
    preset: Any,
    prediction_type: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    want = load_file(parity / f"{reference}.safetensors")
    # The references were all made with the same six layers.
    params = StyleParams(preset=preset, layers=(6, 7, 8, 9, 10, 11))
    pipe = make_pipe(prediction_type)
    content, style = inputs["z0_content"], inputs["z0_style"]

    got = {
        "zT_content": pipe.invert_latents(content, params).z_T,
        "zT_style": pipe.invert_latents(style, params).z_T,
    }
    got["z_init"] = adain(got["zT_content"], got["zT_style"], ADAIN_FLOOR[preset])
    steps = []
    seen = partial(stylise, seen=lambda step, z, z_0: steps.append(z if preset == "paper" else z_0))
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "stylise", seen)
        got["z_out"] = pipe.transfer_latents(content, style, params=params)
    got["z_steps"] = torch.cat(steps).view(want["z_steps"].shape)
    plain = params.model_copy(update={"adain": False, "inject": False})
    got["z_reconstruction"] = pipe.transfer_latents(content, style, params=plain)

    errors = {name: relative_error(got[name], tensor) for name, tensor in want.items()}
    print(reference, errors)
    assert max(errors.values()) <= TOLERANCE, errors


def test_a_temperature_off_by_a_tenth_is_told_apart_from_the_reference(
    parity: Path, inputs: dict[str, Any], make_pipe: Any
) -> None:
    want = load_file(parity / "expected_paper.safetensors")["z_out"]
    got = make_pipe().transfer_latents(
        inputs["z0_content"], inputs["z0_style"], params=StyleParams(temperature=1.4)
    )
    assert relative_error(got, want) > 10 * TOLERANCE
