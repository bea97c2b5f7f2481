"""Loading a checkpoint's parts with diffusers and transformers, from safetensors only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging as transformers_logging

transformers_logging.set_verbosity_error()  # before diffusers, whose import sets off its warnings

from diffusers import DDIMScheduler, UNet2DConditionModel  # noqa: E402
from diffusers.utils import logging as diffusers_logging  # noqa: E402

from styleid_ray.errors import ConfigError, ModelError, first_line  # noqa: E402
from styleid_ray.model.checkpoint import (  # noqa: E402
    NULL_EMBEDDING,
    Checkpoint,
    fetch,
    find_checkpoint,
)
from styleid_ray.model.vae import KINDS, Vae, fetch_vae, find_vae  # noqa: E402


def load_components(
    model: str,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    vae: str | None = None,
) -> dict[str, Any]:
    """unet, scheduler, null_embedding and vae of a model, on a device, ready for inference; with
    another autoencoder than the model's own, if `vae` names one."""
    checkpoint = find_checkpoint(model, revision)
    other = find_vae(vae, checkpoint) if vae else None
    checkpoint = replace(checkpoint, vae=other)
    target = choose_device(device)
    precision = choose_dtype(dtype, target)
    folder = fetch(checkpoint)
    diffusers_logging.set_verbosity_error()
    try:
        unet = UNet2DConditionModel.from_pretrained(folder, **_part(checkpoint, "unet", precision))
        autoencoder = (
            _other_autoencoder(other, precision)
            if other
            else _autoencoder(checkpoint)(folder, **_part(checkpoint, "vae", precision))
        )
        null = _null_embedding(checkpoint, folder)
    except (OSError, ValueError, RuntimeError, KeyError) as e:
        raise ModelError(f"model {model} cannot be loaded: {str(e).strip().splitlines()[0]}") from e
    parts: tuple[Any, ...] = (unet, autoencoder)
    for part in parts:
        part.requires_grad_(False).eval().to(target)
    scheduler = DDIMScheduler.from_config(checkpoint.config("scheduler"))
    return {"unet": unet, "scheduler": scheduler, "null_embedding": null, "vae": autoencoder}


def load_autoencoder(
    model: str,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    vae: str | None = None,
) -> tuple[Any, int]:
    """The autoencoder of a model alone, or another one in its place, on a device and ready for
    inference, and what the sides of a picture must be multiples of. Other weights are neither read
    nor downloaded."""
    checkpoint = find_checkpoint(model, revision)
    target = choose_device(device)
    precision = choose_dtype(dtype, target)
    diffusers_logging.set_verbosity_error()
    if vae:
        autoencoder = _other_autoencoder(find_vae(vae, checkpoint), precision)
    else:
        folder = fetch(checkpoint, "vae")
        try:
            load = _autoencoder(checkpoint)
            autoencoder = load(folder, **_part(checkpoint, "vae", precision))
        except (OSError, ValueError, RuntimeError, KeyError) as e:
            raise ModelError(f"model {model} cannot be loaded: {first_line(e)}") from e
    return autoencoder.requires_grad_(False).eval().to(target), checkpoint.factor


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for; with None or "auto" CUDA where there is a GPU, else the CPU."""
    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)  # pyright: ignore[reportArgumentType]
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device cuda was asked for, but PyTorch sees no GPU here: use --device cpu"
        )
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The precision asked for; with None or "auto" float16 on CUDA and float32 on CPU."""
    if dtype in (None, "auto"):
        return torch.float16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if dtype not in names:
        raise ConfigError(f"dtype {dtype!r} is not known: use one of {', '.join(names)}")
    return names[dtype]


def _part(checkpoint: Checkpoint, part: str, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "subfolder": part,
        "torch_dtype": dtype,
        "use_safetensors": True,
        "variant": checkpoint.variant(part),
        "local_files_only": True,
    }


def _autoencoder(checkpoint: Checkpoint) -> Any:
    import diffusers

    name = checkpoint.config("vae").get("_class_name", "")
    if name not in KINDS:
        raise ModelError(f"model {checkpoint.name}: its autoencoder {name!r} is not supported")
    return getattr(diffusers, name).from_pretrained


def _other_autoencoder(vae: Vae, dtype: torch.dtype) -> Any:
    import diffusers

    folder = fetch_vae(vae)
    try:
        return getattr(diffusers, vae.config["_class_name"]).from_pretrained(
            folder,
            torch_dtype=dtype,
            use_safetensors=True,
            variant=vae.variant,
            local_files_only=True,
        )
    except Exception as e:  # weights of other shapes, for instance
        raise ModelError(f"--vae {vae.name} cannot be loaded: {first_line(e)}") from e


def _null_embedding(checkpoint: Checkpoint, folder: Path) -> Tensor:
    """The empty prompt's embedding [1, tokens, D]: stored beside the model, or made by the text
    encoder, which is let go afterwards."""
    if NULL_EMBEDDING in checkpoint.files:
        return load_file(folder / NULL_EMBEDDING)["null_embedding"].float()
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    encoder = CLIPTextModel.from_pretrained(
        folder / "text_encoder",
        use_safetensors=True,
        variant=checkpoint.variant("text_encoder"),
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
        return encoder(tokens.input_ids)[0]
