"""Embeddings of the empty prompt, as diffusers' pipelines compute it."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.description import TOKENS
from styleid_ray.model.parts import ENCODERS, NULL_EMBEDDING
from styleid_ray.model.single_weights import encode_empty_prompt

PromptEmbeddings = tuple[Tensor | None, Tensor | None]
"""Embedding [1, tokens, D] and pooled embedding [1, P], in float32 on the CPU; None where the UNet
takes none."""


def empty_prompt(checkpoint: Checkpoint, folder: Path) -> PromptEmbeddings:
    """The embeddings of the empty prompt for a model: zeros, stored beside the model, or encoded by
    its text encoders on the CPU, which are freed afterwards.

    Raises:
        ModelError: the stored embedding does not suit the unet.
    """
    model = checkpoint.description
    if not model.text_width:
        return None, None
    if NULL_EMBEDDING in checkpoint.files:
        return _stored(checkpoint.name, model.text_width, folder / NULL_EMBEDDING), None
    if checkpoint.zero_prompt and model.pooled_width:
        return torch.zeros(1, TOKENS, model.text_width), torch.zeros(1, model.pooled_width)
    if checkpoint.single:
        return encode_empty_prompt(checkpoint, checkpoint.single), None
    first = _encode(checkpoint, folder, "text_encoder", CLIPTextModel)
    if not model.pooled_width:
        return first[0], None
    # The states before the last layer of both encoders, and the second one's for the whole text.
    second = _encode(checkpoint, folder, "text_encoder_2", CLIPTextModelWithProjection)
    states = [encoded.hidden_states[-2] for encoded in (first, second)]
    return torch.cat(states, dim=-1), second[0]


def _stored(name: str, width: int, file: Path) -> Tensor:
    embedding = load_file(file).get("null_embedding")
    if embedding is None or embedding.shape[-1] != width:
        raise ModelError(
            f"model {name}: {NULL_EMBEDDING} needs a tensor null_embedding [1, tokens, {width}]"
        )
    return embedding.float()


def _encode(checkpoint: Checkpoint, folder: Path, part: str, kind: Any) -> Any:
    tokenizer = CLIPTokenizer.from_pretrained(folder / ENCODERS[part], local_files_only=True)
    encoder = kind.from_pretrained(
        folder / part,
        use_safetensors=True,
        variant=checkpoint.variant(part),
        local_files_only=True,
    ).float()
    tokens = tokenizer(
        "",
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        return encoder(tokens.input_ids, output_hidden_states=True)
