"""The parts of a model in diffusers format, by the names of its files alone."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from styleid_ray.errors import ModelError
from styleid_ray.model.whole import CONVERT, PICKLES

INDEX = "model_index.json"
NULL_EMBEDDING = "null_embedding.safetensors"
"""Embedding of the empty prompt beside a model, in place of text encoders."""
ENCODERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
"""Text encoders and their tokenizers."""
PARTS = ("unet", "vae", "vqvae", "scheduler", *ENCODERS, *ENCODERS.values())
"""Folders of a model that loading reads."""
SMALL = [INDEX, *(f"{part}/*.json" for part in PARTS)]
"""Patterns of the files that describe a model."""
_VOCABULARY = ("merges.txt", "tokenizer.json")
_ZEROS = "force_zeros_for_empty_prompt"
_SHARD = r"(?:-\d{5}-of-\d{5})?"
_NEEDED = (
    "it needs unet/, vae/, scheduler/ and, for a model with text, text_encoder/ and tokenizer/"
)


def has(files: Sequence[str], part: str) -> bool:
    """Whether a model has a folder of this name."""
    return any(f.startswith(f"{part}/") for f in files)


def folder_of(files: Sequence[str], part: str) -> str:
    """The folder of a part: some models without text have their autoencoder in `vqvae`."""
    return "vqvae" if part == "vae" and not has(files, "vae") and has(files, "vqvae") else part


def is_zero_prompt(index: Mapping[str, Any], files: Sequence[str] = ()) -> bool:
    """Whether the empty prompt is encoded as zeros. As in diffusers: if `model_index.json` says so,
    or omits the entry in a Stable Diffusion XL model. Without this file, such a model is recognised
    by both text encoders among its `files`."""
    known = index or (dict.fromkeys(ENCODERS) if all(has(files, x) for x in ENCODERS) else {})
    return "text_encoder_2" in known and bool(known.get(_ZEROS, True))


def encoders(files: Sequence[str], zero_prompt: bool) -> list[str]:
    """The text encoders needed for the empty prompt's embedding."""
    if zero_prompt or NULL_EMBEDDING in files:
        return []
    return [part for part in ENCODERS if has(files, part)]


def weighty(files: Sequence[str], zero_prompt: bool) -> list[str]:
    """The parts whose weights are loaded."""
    return ["unet", "vae", *encoders(files, zero_prompt)]


def small_files(files: Sequence[str], zero_prompt: bool) -> set[str]:
    """The existing files that loading reads besides weights."""
    vocabularies = [] if zero_prompt else list(ENCODERS.values())
    # The index describes the empty prompt, which is unambiguous with one text encoder.
    second = has(files, "text_encoder_2")
    plain = not second and (NULL_EMBEDDING in files or has(files, "text_encoder"))
    alone = {NULL_EMBEDDING} if plain else {NULL_EMBEDDING, INDEX}
    return {
        name
        for name in files
        if name in alone
        or name.partition("/")[0] in vocabularies
        or (name.endswith(".json") and name.rpartition("/")[0] in PARTS)
    }


def stem(part: str) -> str:
    """Prefix of the names of a part's weight files, in its folder."""
    return "model" if part in ENCODERS else "diffusion_pytorch_model"


def variant(what: str, files: Sequence[str], stem: str) -> str | None:
    """The diffusers weights variant to load: plain where it exists, else fp16.

    Args:
        what: the owner of the weights, for messages.
        files: names of all files.
        stem: prefix of the names of the weight files, folders included.

    Raises:
        ModelError: there are no safetensors weights.
    """
    for kind in (None, "fp16"):
        if weights_named(files, stem, kind):
            return kind
    folder = posixpath.dirname(stem)
    if any(posixpath.dirname(f) == folder and f.endswith(PICKLES) for f in files):
        raise ModelError(f"{what} has its weights as a pickle only: {CONVERT}")
    raise ModelError(f"{what} has no safetensors weights ({stem}.safetensors): download them too")


def weights_named(files: Sequence[str], stem: str, kind: str | None) -> list[str]:
    """The safetensors files of this stem and variant, all shards."""
    tag = rf"\.{kind}" if kind else ""
    name = rf"{stem}(?:{tag}{_SHARD}|{_SHARD}{tag})\.safetensors"
    return [f for f in files if re.fullmatch(name, f)]


def check_parts(
    name: str, files: Sequence[str], zero_prompt: bool = False, local: bool = False
) -> None:
    """Raises ModelError if a part of a model is missing; `local` files can be named directly."""
    if has(files, "transformer") and not has(files, "unet"):
        raise ModelError(
            f"model {name}: this is a diffusion transformer (it has transformer/, not unet/), "
            "which has no UNet decoder whose self-attention StyleID could inject into "
            "(docs/models.md)"
        )
    if not has(files, "unet"):
        single = next((f for f in files if _is_single(f)), None)
        how = "name it itself" if local else "download it and name its path"
        hint = f"; to load the single file {single}, {how}" if single else ""
        raise ModelError(
            f"model {name}: the folder is not a model in diffusers format: {_NEEDED}{hint}"
        )
    if not has(files, "scheduler"):
        raise ModelError(f"model {name}: the part scheduler/ is missing: download it too")
    vae = f"{folder_of(files, 'vae')}/config.json"
    if vae not in files:
        raise ModelError(f"model {name}: the part vae/ is missing ({vae})")
    for part in encoders(files, zero_prompt):
        if f"{part}/config.json" not in files:
            raise ModelError(f"model {name}: {part}/config.json is missing: download it too")
        if not any(f"{ENCODERS[part]}/{x}" in files for x in _VOCABULARY):
            raise ModelError(
                f"model {name}: the part {ENCODERS[part]}/ is missing, or has no vocabulary "
                f"({' or '.join(_VOCABULARY)}): download it too"
            )


def check_index(name: str, files: Sequence[str]) -> None:
    """Raises ModelError for a hub model without the file that describes its empty prompt: a local
    cache may lack it, while the hub's file says something else."""
    if has(files, "text_encoder_2") and INDEX not in files:
        raise ModelError(
            f"model {name}: {INDEX} is missing, which describes its empty prompt: download it "
            "again, or name a local folder"
        )


def _is_single(name: str) -> bool:
    return name.endswith(".safetensors") and "/" not in name and name != NULL_EMBEDDING
