"""Pictures to latents and back, whole and in tiles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from PIL import Image
from torch import Tensor

from styleid_ray.demo import INPUTS
from styleid_ray.engine.autoencoder import (
    Autoencoder,
    decode,
    encode,
    from_pixels,
    quantised,
)
from styleid_ray.engine.memory import GIB, Memory
from styleid_ray.engine.pictures import to_pixels
from styleid_ray.errors import ConfigError
from styleid_ray.model.checkpoint import EMBEDDED_MODEL
from styleid_ray.model.windows import Windows


@pytest.fixture(scope="module")
def vae() -> Any:
    """The embedded model's."""
    loaded: Any = AutoencoderKL.from_pretrained(EMBEDDED_MODEL, subfolder="vae")
    return loaded.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """A picture [1, 3, 384, 384] in [-1, 1]."""
    path = min(INPUTS.rglob("*.png"))
    return from_pixels(to_pixels(Image.open(path).resize((384, 384)))[None])


def make_memory(**options: Any) -> Memory:
    defaults = {"batch": "auto", "features": "auto", "limit": None}
    defaults |= {"host_share": 1.0, "device_share": 1.0}
    return Memory(torch.device("cpu"), **(defaults | options))


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(255**2 / (a.float() - b.float()).square().mean()))


def test_a_picture_that_fits_one_tile_is_the_same_to_the_bit(vae: Any, picture: Tensor) -> None:
    z = encode(vae, picture)
    assert torch.equal(encode(vae, picture, tile=48), z)
    assert torch.equal(decode(vae, z, tile=64), decode(vae, z))


@torch.no_grad()
def test_tiles_give_the_picture_without_seams(vae: Any, picture: Tensor) -> None:
    z = encode(vae, picture)
    whole, tiled = quantised(decode(vae, z))[0], quantised(decode(vae, z, tile=24))[0]
    assert psnr(tiled, whole) > 38
    tops = Windows.over(z.shape, 24).tops
    assert len(tops) > 1
    jumps = (tiled.float() - whole.float()).diff(dim=0).abs().mean((1, 2))
    edges = [8 * at - 1 for top in tops for at in (top, top + 24) if 0 < at < 48]
    assert float(jumps[edges].mean()) < 1.5 * float(jumps.mean())
    assert psnr(quantised(decode(vae, encode(vae, picture, tile=24)))[0], whole) > 38


@torch.no_grad()
def test_tiles_leave_the_autoencoder_as_it_was_whatever_its_kind(picture: Tensor) -> None:
    torch.manual_seed(0)
    narrow = (8, 8, 8, 8)
    tiny: Any = AutoencoderTiny(
        latent_channels=16, encoder_block_out_channels=narrow, decoder_block_out_channels=narrow
    ).eval()
    before, part = dict(vars(tiny)), picture[..., :128]
    assert decode(tiny, encode(tiny, part, tile=16), tile=16).shape == part.shape
    assert vars(tiny) == before
    assert not tiny.use_tiling


def test_a_tile_that_is_no_multiple_of_the_factor_is_refused(vae: Any) -> None:
    with pytest.raises(ConfigError, match="--vae-tile 100: this autoencoder needs a multiple of 8"):
        Autoencoder(vae, make_memory(), tile=100)


def test_a_gpu_decodes_as_many_pictures_at_once_as_leave_room_for_features(
    gpu: SimpleNamespace, vae: Any
) -> None:
    gpu.free = 64 * GIB
    assert make_memory(vae=vae).batches.most((16, 64, 64), "vae") == 4
    gpu.free = GIB // 2
    tight = make_memory(vae=vae).batches
    assert tight.most((16, 64, 64), "vae") == 1
    assert make_memory(vae=vae, vae_tile=128).batches.most((16, 64, 64), "vae") > 1
    assert tight.most((16, 64, 64)) == 16, "nothing is known of the unet here"
