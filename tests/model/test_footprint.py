"""The memory of inversions is known before a model is loaded."""

from __future__ import annotations

from typing import Any

from styleid_ray.config import StyleParams
from styleid_ray.model.description import describe
from styleid_ray.model.footprint import PictureMemory, picture_memory

SD: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "in_channels": 4,
    "up_block_types": ["UpBlock2D"] + 3 * ["CrossAttnUpBlock2D"],
}


def test_stable_diffusion_takes_0_59_gb_a_content_and_1_18_gb_a_style() -> None:
    picture = picture_memory(describe(SD), (64, 64), StyleParams().resolved(), "float16")
    assert picture.content == 589_824_000
    assert picture.style == 1_179_648_000


def test_without_injection_nothing_is_kept() -> None:
    params = StyleParams(inject=False).resolved()
    assert picture_memory(describe(SD), (64, 64), params, "float16") == PictureMemory(0, 0)
