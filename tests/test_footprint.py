"""What inversions take in memory is known before a model is loaded."""

from __future__ import annotations

from typing import Any

from styleid_ray.config import StyleParams
from styleid_ray.footprint import PictureMemory, in_pinned_memory, picture_memory, pinned_size

SD: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "in_channels": 4,
}


def test_stable_diffusion_takes_0_59_gb_a_content_and_1_18_gb_a_style() -> None:
    picture = picture_memory(SD, (64, 64), StyleParams().resolved(), "float16")
    assert picture.content == 589_824_000
    assert picture.style == 1_179_648_000
    assert picture.trajectory == 4 * 64 * 64 * 4 * 50


def test_without_injection_nothing_is_kept() -> None:
    params = StyleParams(inject=False).resolved()
    assert picture_memory(SD, (64, 64), params, "float16") == PictureMemory(0, 0, 0)


def test_pinned_memory_is_counted_as_pytorch_hands_it_out_in_powers_of_two() -> None:
    assert [pinned_size(n) for n in (0, 1, 2**20, 2**20 + 1)] == [0, 1, 2**20, 2**21]
    picture = picture_memory(SD, (64, 64), StyleParams().resolved(), "float16")
    pinned = in_pinned_memory(picture, 50)
    # 11.8 MB of queries a step take 16 MiB.
    assert (pinned.content, pinned.style) == (50 * 2**24, 50 * 2**25)
