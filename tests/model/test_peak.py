"""A model's memory while it computes is known before its weights are loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, UNet2DModel, VQModel

from styleid_ray.model.live import Live
from styleid_ray.model.peak import model_peaks, stored_config, unet_peak, vae_peak
from tests.full_models import KL, KL_XL, SD1, SDXL

GIB = 2**30
TINY: dict[str, Any] = {
    "block_out_channels": (16, 32, 32),
    "norm_num_groups": 8,
    "layers_per_block": 1,
}
TINY_SD1 = TINY | {
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 8,
}
TINY_SDXL = TINY | {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 1, 2),
    "cross_attention_dim": 8,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 10 + 6 * 4,
}


@pytest.mark.parametrize("config", [TINY_SD1, TINY_SDXL], ids=["sd1", "sdxl"])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_evaluation_takes_what_was_counted_without_weights(
    config: dict[str, Any], batch: int
) -> None:
    unet = UNet2DConditionModel(**config).eval()
    added = {"text_embeds": torch.zeros(batch, 10), "time_ids": torch.zeros(batch, 6)}
    with torch.no_grad(), Live() as live:
        unet(
            torch.zeros(batch, 4, 32, 32),
            torch.tensor(1),
            encoder_hidden_states=torch.zeros(batch, 77, 8),
            added_cond_kwargs=added if "addition_embed_type" in config else None,
        )
    counted = unet_peak(stored_config(unet), 32, 32, "float32", batch)
    assert counted == pytest.approx(live.peak, rel=0.02)


def test_an_autoencoder_of_codes_is_counted_with_the_channels_that_diffusers_gives_it() -> None:
    config = stored_config(VQModel(block_out_channels=(16,), norm_num_groups=8))
    silent = {name: x for name, x in config.items() if name != "latent_channels"}
    assert vae_peak(silent, (16, 16), "float32") == vae_peak(config, (16, 16), "float32")


def test_memory_of_a_batch_goes_by_its_latents_and_half_precision_halves_it() -> None:
    config = stored_config(UNet2DConditionModel(**TINY_SDXL))
    one = unet_peak(config, 32, 32, "float32")
    assert unet_peak(config, 32, 32, "float32", 4) == pytest.approx(4 * one, rel=0.02)
    assert unet_peak(config, 32, 32, "float16") == pytest.approx(one / 2, rel=0.02)


@pytest.mark.parametrize("method", ["encode", "decode"])
def test_the_autoencoder_takes_no_more_than_was_counted(method: str) -> None:
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    ).eval()
    with torch.no_grad(), Live() as live:
        shape = (1, 3, 64, 64) if method == "encode" else (1, 4, 32, 32)
        getattr(vae, method)(torch.zeros(shape))
    counted = vae_peak(stored_config(vae), (32, 32), "float32")
    assert live.peak <= counted <= 2 * live.peak


def test_every_kind_of_autoencoder_and_a_unet_without_text_can_be_counted() -> None:
    for vae in (AutoencoderTiny(), VQModel(norm_num_groups=8, block_out_channels=(8,))):
        assert vae_peak(stored_config(vae), (16, 16), "float16") > 0
    unet = UNet2DModel(
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 8),
        norm_num_groups=4,
    )
    assert unet_peak(stored_config(unet), 16, 16, "float16") > 0


def test_tiles_bound_the_memory_of_the_autoencoder_whatever_the_picture_is() -> None:
    tiled = vae_peak(KL_XL, (128, 128), "float32", 64)
    assert tiled < 0.3 * vae_peak(KL_XL, (128, 128), "float32")
    assert vae_peak(KL_XL, (256, 256), "float32", 64) < 1.3 * tiled


def test_stable_diffusion_takes_1_8_gib_and_sdxl_5_1_gib_with_its_autoencoder_in_float32() -> None:
    small = model_peaks(SD1, KL, (64, 64), "float16")
    large = model_peaks(SDXL, KL_XL, (128, 128), "float16")
    assert small.weights / GIB == pytest.approx(1.76, abs=0.01)
    assert large.weights / GIB == pytest.approx(5.09, abs=0.01)
    assert (small.unet / GIB, small.vae / GIB) == pytest.approx((0.064, 0.38), rel=0.02)
    assert (large.unet / GIB, large.vae / GIB) == pytest.approx((0.154, 3.01), rel=0.02)
    plain = model_peaks(SDXL, KL, (128, 128), "float16")
    assert plain.vae < 0.51 * large.vae
