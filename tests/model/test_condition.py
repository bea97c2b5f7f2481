"""The empty prompt equals diffusers' own: by text encoders, stored, or zeros."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import find_checkpoint
from styleid_ray.model.condition import empty_prompt
from tests.families import save_sd2, save_sdxl, save_unconditional


def condition(folder: Path) -> tuple[Tensor | None, Tensor | None]:
    checkpoint = find_checkpoint(str(folder))
    return empty_prompt(checkpoint, folder)


def of_pipeline(pipeline: Any, folder: Path) -> tuple[Tensor, ...]:
    """The negative embedding of diffusers' pipeline without a negative prompt."""
    pipe = pipeline.from_pretrained(folder, local_files_only=True)
    kinds = {"num_images_per_prompt": 1, "do_classifier_free_guidance": True, "device": "cpu"}
    return pipe.encode_prompt("a b", **kinds)


@pytest.mark.parametrize("zeros", [True, False])
def test_sdxl_is_given_what_its_pipeline_gives_for_the_empty_prompt(
    tmp_path: Path, zeros: bool
) -> None:
    folder = save_sdxl(tmp_path / "xl", zeros)
    _, expected, _, expected_pooled = of_pipeline(StableDiffusionXLPipeline, folder)
    embedding, pooled = condition(folder)
    assert embedding is not None
    assert pooled is not None
    assert (not embedding.any() and not pooled.any()) == zeros
    assert embedding.shape == (1, 77, 20)
    torch.testing.assert_close(embedding, expected, rtol=0, atol=0)
    torch.testing.assert_close(pooled, expected_pooled, rtol=0, atol=0)


def test_sd_2_is_given_what_its_pipeline_gives_for_the_empty_prompt(tmp_path: Path) -> None:
    folder = save_sd2(tmp_path / "sd2")
    _, expected = of_pipeline(StableDiffusionPipeline, folder)
    embedding, pooled = condition(folder)
    torch.testing.assert_close(embedding, expected, rtol=0, atol=0)
    assert pooled is None


def test_text_encoders_are_neither_needed_nor_looked_for_where_the_prompt_is_zeros(
    tmp_path: Path,
) -> None:
    folder = save_sdxl(tmp_path / "xl")
    needed = find_checkpoint(str(folder)).needed
    assert not [name for name in needed if "text_encoder" in name and "safetensors" in name]
    for part in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"):
        shutil.rmtree(folder / part)
    embedding, pooled = condition(folder)
    assert embedding is not None
    assert pooled is not None
    assert (embedding.shape, pooled.shape) == ((1, 77, 20), (1, 10))


def test_both_text_encoders_are_needed_where_the_prompt_is_encoded(tmp_path: Path) -> None:
    needed = find_checkpoint(str(save_sdxl(tmp_path / "xl", zeros=False))).needed
    assert {"text_encoder/model.safetensors", "text_encoder_2/model.safetensors"} <= set(needed)
    assert {"tokenizer/merges.txt", "tokenizer_2/merges.txt"} <= set(needed)


def test_a_model_without_text_has_no_condition(tmp_path: Path) -> None:
    folder = save_unconditional(tmp_path / "plain")
    assert condition(folder) == (None, None)


def test_a_stored_embedding_stands_for_the_text_encoder(tmp_path: Path) -> None:
    folder = save_sd2(tmp_path / "sd2")
    stored = torch.rand(1, 77, 12)
    save_file({"null_embedding": stored}, folder / "null_embedding.safetensors")
    shutil.rmtree(folder / "text_encoder")
    embedding, pooled = condition(folder)
    torch.testing.assert_close(embedding, stored)
    assert pooled is None


def test_a_stored_embedding_of_another_width_is_refused(tmp_path: Path) -> None:
    folder = save_sd2(tmp_path / "sd2")
    save_file({"null_embedding": torch.rand(1, 77, 8)}, folder / "null_embedding.safetensors")
    with pytest.raises(ModelError, match=r"needs a tensor null_embedding \[1, tokens, 12\]"):
        condition(folder)


def test_a_stored_embedding_does_not_stand_for_the_two_text_encoders_of_sdxl(
    tmp_path: Path,
) -> None:
    folder = save_sdxl(tmp_path / "xl")
    save_file({"null_embedding": torch.rand(1, 77, 20)}, folder / "null_embedding.safetensors")
    with pytest.raises(ModelError, match=r"pooled embedding too, which null_embedding"):
        find_checkpoint(str(folder))
