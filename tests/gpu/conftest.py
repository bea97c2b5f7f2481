from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor

from styleid_ray import StyleIDPipeline

MakePipe = Callable[..., StyleIDPipeline]


def relative_error(got: Tensor, want: Tensor) -> float:
    """‖got − want‖ / ‖want‖, wherever they are and whatever their precision."""
    got, want = got.cpu().double(), want.cpu().double()
    return float((got - want).norm() / want.norm())


@pytest.fixture(autouse=True)
def memory_is_given_back() -> Iterator[None]:
    yield
    torch.cuda.empty_cache()


@pytest.fixture(scope="session")
def inputs(parity: Path) -> dict[str, Tensor]:
    return load_file(parity / "inputs.safetensors")


@pytest.fixture
def make_pipe(parity: Path, inputs: dict[str, Tensor], tiny_model: Path) -> MakePipe:
    """A pipeline of the reference UNet and a small random autoencoder; options as of the class."""

    def make(
        device: str = "cuda",
        dtype: torch.dtype = torch.float32,
        prediction_type: str = "epsilon",
        **options: Any,
    ) -> StyleIDPipeline:
        unet = UNet2DConditionModel.from_pretrained(parity, subfolder="unet", torch_dtype=dtype)
        vae = AutoencoderKL.from_pretrained(tiny_model, subfolder="vae", torch_dtype=dtype)
        scheduler = DDIMScheduler.from_pretrained(
            parity, subfolder="scheduler", prediction_type=prediction_type
        )
        return StyleIDPipeline(
            unet=unet.to(device),
            vae=vae.to(device),
            scheduler=scheduler,
            null_embedding=inputs["null_embedding"],
            **options,
        )

    return make
