"""The parts of a model in one file, loaded by diffusers' own conversion."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPTextModel

from styleid_ray.errors import ModelError
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.single_file import PREFIXES, SingleFile


def load_part(checkpoint: Checkpoint, single: SingleFile, part: str, dtype: torch.dtype) -> Any:
    """The unet or the autoencoder of a model in one file. Raises ModelError where the file has too
    few weights for its family."""
    import diffusers

    kind = getattr(diffusers, single.config(part)["_class_name"])
    with _whole(checkpoint, single, part):
        return kind.from_single_file(
            _tensors(checkpoint, part),
            config=str(single.folder),
            subfolder=part,
            torch_dtype=dtype,
            local_files_only=True,
        )


def encode_empty_prompt(checkpoint: Checkpoint, single: SingleFile) -> Tensor:
    """The embedding [1, tokens, D] of the empty prompt by the file's text encoder, in float32.

    The empty prompt is the start token, the end token and padding, whose numbers are in the
    configuration: no tokenizer is needed.
    """
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    with _whole(checkpoint, single, "text_encoder"):
        encoder: Any = create_diffusers_clip_model_from_ldm(
            CLIPTextModel,
            _tensors(checkpoint, "text_encoder"),
            subfolder="text_encoder",
            config=str(single.folder),
            torch_dtype=torch.float32,
            local_files_only=True,
        )
        for x in encoder.state_dict().values():
            x.cpu()
    config = encoder.config
    tokens = torch.full((1, config.max_position_embeddings), config.pad_token_id)
    tokens[0, 0], tokens[0, 1] = config.bos_token_id, config.eos_token_id
    with torch.no_grad():
        return encoder(tokens)[0]


def _tensors(checkpoint: Checkpoint, part: str) -> dict[str, Tensor]:
    (name,) = checkpoint.files
    with safe_open(checkpoint.folder / name, framework="pt") as f:
        return {key: f.get_tensor(key) for key in f.keys() if key.startswith(PREFIXES[part])}  # noqa: SIM118


@contextmanager
def _whole(checkpoint: Checkpoint, single: SingleFile, part: str) -> Iterator[None]:
    """Within the block a network is loaded; its missing weights become a ModelError, since torch
    cannot move a tensor without values."""
    try:
        yield
    except NotImplementedError as e:
        raise ModelError(
            f"model {checkpoint.name}: its {part} lacks weights of its family "
            f"({single.family}): a model that was made smaller must be in diffusers "
            "format"
        ) from e
