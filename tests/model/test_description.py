"""A model's JSON determines its layers, its sizes and the inputs of its UNet."""

from __future__ import annotations

from typing import Any

import pytest

from styleid_ray.errors import ModelError
from styleid_ray.model.description import describe

VAE = {"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512]}
SD1: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280, 1280],
    "up_block_types": ["UpBlock2D"] + 3 * ["CrossAttnUpBlock2D"],
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
    "in_channels": 4,
    "sample_size": 64,
}
SD2 = SD1 | {"attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "sample_size": 96}
SDXL: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "in_channels": 4,
    "sample_size": 128,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def test_layers_of_stable_diffusion_1_are_the_papers_and_so_are_the_defaults() -> None:
    model = describe(SD1, VAE)
    assert list(model.sites) == list(range(3, 12))
    assert {n: site.tokens((64, 64)) for n, site in model.sites.items()} == {
        **dict.fromkeys((3, 4, 5), 256),
        **dict.fromkeys((6, 7, 8), 1024),
        **dict.fromkeys((9, 10, 11), 4096),
    }
    assert model.sites[7].name == "up_blocks.2.attentions.1.transformer_blocks.0.attn1"
    assert (model.default_size, model.default_layers, model.factor) == (512, None, 64)


def test_stable_diffusion_2_is_laid_out_alike_with_heads_by_level_and_768_px() -> None:
    model = describe(SD2, VAE, {"prediction_type": "v_prediction"})
    assert [model.sites[n].heads for n in (3, 6, 9)] == [20, 10, 5]
    assert {site.channels // site.heads for site in model.sites.values()} == {64}
    assert (model.default_size, model.default_layers) == (768, None)
    assert model.prediction_type == "v_prediction"


def test_stable_diffusion_xl_counts_every_transformer_block_and_gets_the_size() -> None:
    model = describe(SDXL, VAE)
    assert list(model.sites) == list(range(36))
    assert model.sites[29].name == "up_blocks.0.attentions.2.transformer_blocks.9.attn1"
    assert model.sites[35].name == "up_blocks.1.attentions.2.transformer_blocks.1.attn1"
    assert [model.sites[n].tokens((128, 128)) for n in (29, 30)] == [1024, 4096]
    assert model.default_layers == (30, 31, 32, 33, 34, 35)
    assert (model.default_size, model.text_width, model.pooled_width) == (1024, 2048, 1280)
    assert model.time_ids((128, 96)) == (1024, 768, 0, 0, 1024, 768)


def test_an_autoencoder_is_in_float32_where_its_own_json_says_so_and_nowhere_else() -> None:
    assert describe(SDXL, VAE | {"force_upcast": True}).upcast_vae
    assert not describe(SDXL, VAE | {"force_upcast": False}).upcast_vae
    assert not describe(SDXL, VAE).upcast_vae


def test_attention_without_a_transformer_has_heads_of_the_width_that_is_named() -> None:
    config = {
        "block_out_channels": (224, 448, 672, 896),
        "up_block_types": 3 * ("AttnUpBlock2D",) + ("UpBlock2D",),
        "attention_head_dim": 32,
        "in_channels": 3,
        "sample_size": 64,
    }
    model = describe(config, {"block_out_channels": [128, 256, 512]})
    assert list(model.sites) == list(range(9))
    assert [model.sites[n].heads for n in (0, 3, 6)] == [28, 21, 14]
    assert model.default_layers == (6, 7, 8)
    assert (model.text_width, model.pooled_width, model.native_size) == (0, 0, 256)


def test_a_decoder_of_unknown_blocks_is_refused_by_name() -> None:
    kinds = ["SimpleCrossAttnUpBlock2D", *SD1["up_block_types"][1:]]
    with pytest.raises(ModelError, match="SimpleCrossAttnUpBlock2D, which StyleID does not know"):
        describe(SD1 | {"up_block_types": kinds}, VAE)


@pytest.mark.parametrize(
    ("unet", "channels"), [({}, 4), ({"_class_name": "UNet2DModel"}, 3), ({"in_channels": 8}, 8)]
)
def test_a_unet_that_does_not_say_its_channels_has_those_that_diffusers_gives_it(
    unet: dict[str, Any], channels: int
) -> None:
    silent = {name: x for name, x in SD1.items() if name != "in_channels"}
    assert describe(silent | unet).latent_channels == channels
