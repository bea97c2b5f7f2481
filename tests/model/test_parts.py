"""The existing and the needed parts of a model, by the names of its files alone."""

from __future__ import annotations

import pytest

from styleid_ray.errors import ModelError
from styleid_ray.model.parts import (
    check_index,
    check_parts,
    is_zero_prompt,
    small_files,
    weights_named,
)

PLAIN = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)
SECOND = (
    "text_encoder_2/config.json",
    "text_encoder_2/model.fp16.safetensors",
    "tokenizer_2/merges.txt",
)
NULL = "null_embedding.safetensors"
SAYS_NO = {"force_zeros_for_empty_prompt": False}


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({"text_encoder": []}, False),
        ({"text_encoder_2": [], "force_zeros_for_empty_prompt": True}, True),
        ({"text_encoder_2": [], "force_zeros_for_empty_prompt": False}, False),
        ({"text_encoder_2": []}, True),
        ({}, False),
    ],
)
def test_the_empty_prompt_is_zeros_where_diffusers_takes_it_to_be(
    index: dict[str, object], expected: bool
) -> None:
    assert is_zero_prompt(index) == expected


def test_a_model_with_two_text_encoders_and_no_index_has_zeros_as_where_the_index_is_silent() -> (
    None
):
    assert is_zero_prompt({}, PLAIN + SECOND)
    assert not is_zero_prompt({"text_encoder_2": [], **SAYS_NO}, PLAIN + SECOND)
    assert not is_zero_prompt({}, PLAIN)
    refiner = [name for name in PLAIN + SECOND if not name.startswith("text_encoder/")]
    assert not is_zero_prompt({}, refiner)


def test_a_model_on_the_hub_is_not_used_without_the_index_that_its_cache_may_lack() -> None:
    check_index("xl", PLAIN + SECOND)
    check_index("sd1", PLAIN[1:])
    with pytest.raises(ModelError, match=r"model xl: model_index\.json is missing"):
        check_index("xl", PLAIN[1:] + SECOND)


def test_the_files_of_a_model_with_one_text_encoder_are_those_they_always_were() -> None:
    assert "model_index.json" not in small_files(PLAIN, zero_prompt=False)
    assert "model_index.json" not in small_files((*PLAIN, NULL), zero_prompt=False)
    assert "model_index.json" in small_files(PLAIN + SECOND, zero_prompt=True)


def test_the_index_goes_with_a_second_text_encoder_whatever_the_empty_prompt_is() -> None:
    assert {NULL, "model_index.json"} <= small_files((*PLAIN, *SECOND, NULL), zero_prompt=False)


def test_half_precision_weights_of_a_second_text_encoder_are_found() -> None:
    assert weights_named(PLAIN + SECOND, "text_encoder_2/model", "fp16") == [SECOND[1]]


def test_a_tokenizer_is_missed_only_where_a_prompt_is_encoded() -> None:
    files = PLAIN + SECOND[:2]
    with pytest.raises(ModelError, match="model xl: the part tokenizer_2/ is missing"):
        check_parts("xl", files)
    check_parts("xl", files, zero_prompt=True)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([n for n in PLAIN if "scheduler" not in n], "the part scheduler/ is missing: download it"),
        (
            [n for n in PLAIN if n != "tokenizer/merges.txt"],
            r"tokenizer/ is missing, or has no vocabulary \(merges\.txt or tokenizer\.json\)",
        ),
        (
            [n for n in PLAIN if n != "text_encoder/config.json"],
            r"text_encoder/config\.json is missing: download it too",
        ),
        (["v1-5.safetensors"], r"single file v1-5\.safetensors, download it and name its path"),
    ],
)
def test_a_missing_part_is_named_with_what_to_do(files: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_parts("someone/model", files)
