from __future__ import annotations

from diffusers import UNet2DConditionModel

from styleid_ray.model.blank import evaluation_flops

SD1 = {"cross_attention_dim": 768, "attention_head_dim": 8}


def test_stable_diffusion_1_at_512_px_takes_the_published_0_8_tflop() -> None:
    assert round(evaluation_flops(SD1, 64, 64) / 1e12, 3) == 0.803


def test_a_larger_latent_takes_more_than_its_area_for_attention_is_quadratic() -> None:
    assert 5 < evaluation_flops(SD1, 128, 128) / evaluation_flops(SD1, 64, 64) < 16


def test_a_stored_configuration_is_read_as_it_is(tiny_model) -> None:
    stored = UNet2DConditionModel.load_config(tiny_model / "unet")
    assert 0 < evaluation_flops(stored, 8, 8) < 1e9
