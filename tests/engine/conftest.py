from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file

from styleid_ray import StyleIDPipeline


@pytest.fixture(scope="session")
def inputs(parity: Path) -> dict[str, Any]:
    return load_file(parity / "inputs.safetensors")


@pytest.fixture(scope="session")
def unet(parity: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(
        parity, subfolder="unet", low_cpu_mem_usage=False
    ).float()


@pytest.fixture
def make_pipe(parity: Path, inputs: dict[str, Any], unet: UNet2DConditionModel) -> Any:
    """A pipeline on the reference UNet, latents to latents; keyword arguments as of the class."""

    def make(prediction_type: str = "epsilon", **kwargs: Any) -> StyleIDPipeline:
        scheduler = DDIMScheduler.from_pretrained(
            parity, subfolder="scheduler", prediction_type=prediction_type
        )
        return StyleIDPipeline(
            unet=unet, scheduler=scheduler, null_embedding=inputs["null_embedding"], **kwargs
        )

    return make
