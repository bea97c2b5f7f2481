"""The empty prompt equals diffusers' own: by text encoders, stored, or zeros."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import check, find_checkpoint
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


def test_stored_embeddings_stand_for_both_text_encoders(tmp_path: Path) -> None:
    folder = save_sdxl(tmp_path / "xl", zeros=False)
    stored = {"null_embedding": torch.rand(1, 77, 20), "pooled_embedding": torch.rand(1, 10)}
    save_file(stored, folder / "null_embedding.safetensors")
    for part in ("text_encoder", "text_encoder_2"):
        shutil.rmtree(folder / part)
    embedding, pooled = condition(folder)
    torch.testing.assert_close(embedding, stored["null_embedding"])
    torch.testing.assert_close(pooled, stored["pooled_embedding"])


@pytest.mark.parametrize("encoders", [True, False])
def test_stored_embeddings_of_sdxl_are_read_from_the_files_that_loading_takes(
    tmp_path: Path, encoders: bool
) -> None:
    folder = save_sdxl(tmp_path / "xl", zeros=False)
    stored = {"null_embedding": torch.rand(1, 77, 20), "pooled_embedding": torch.rand(1, 10)}
    save_file(stored, folder / "null_embedding.safetensors")
    for part in () if encoders else ("text_encoder", "text_encoder_2"):
        shutil.rmtree(folder / part)
    found = find_checkpoint(str(folder))
    for name in found.needed:
        (tmp_path / "fetched" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, tmp_path / "fetched" / name)
    fetched = check(replace(found, folder=tmp_path / "fetched", origin="store", revision="1"))
    embedding, _ = empty_prompt(fetched, fetched.folder)
    torch.testing.assert_close(embedding, stored["null_embedding"])


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"null_embedding": torch.rand(1, 77, 20)}, r"pooled_embedding \[1, 10\]"),
        ({"null_embedding": torch.rand(1, 77, 8)}, r"null_embedding \[1, tokens, 20\]"),
    ],
)
def test_stored_embeddings_that_do_not_suit_the_unet_are_refused(
    tmp_path: Path, stored: dict[str, Tensor], message: str
) -> None:
    folder = save_sdxl(tmp_path / "xl")
    save_file(stored, folder / "null_embedding.safetensors")
    with pytest.raises(ModelError, match=message):
        condition(folder)
