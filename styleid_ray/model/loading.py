"""Loading a checkpoint's parts with diffusers and transformers, from safetensors only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

transformers_logging.set_verbosity_error()  # before diffusers, whose import triggers warnings
transformers_logging.disable_progress_bar()

from diffusers import DDIMScheduler  # noqa: E402
from diffusers.utils import logging as diffusers_logging  # noqa: E402

from styleid_ray.errors import ConfigError, ModelError, first_line  # noqa: E402
from styleid_ray.model.checkpoint import Checkpoint, find_checkpoint  # noqa: E402
from styleid_ray.model.condition import empty_prompt  # noqa: E402
from styleid_ray.model.lora import LoraFiles, split, with_loras  # noqa: E402
from styleid_ray.model.lora_weights import add_loras  # noqa: E402
from styleid_ray.model.repository import Repository, fetch  # noqa: E402
from styleid_ray.model.single_weights import load_part  # noqa: E402
from styleid_ray.model.vae import with_vae  # noqa: E402


def load_components(
    model: str,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    vae: str | None = None,
    lora: LoraFiles = (),
) -> dict[str, Any]:
    """The keyword arguments of `StyleIDPipeline` for a model, on a device and ready for inference:
    unet, scheduler, null_embedding [1, tokens, D] and pooled_embedding [1, P] (None where the UNet
    takes none), and vae.

    `vae` names an autoencoder in place of the model's own; `lora` names LoRA weights to add to the
    unet (as --lora does, a path, or a list of these). The autoencoder is in float32 where its
    configuration says that float16 is too narrow.

    Raises:
        ModelError: the model is not available, cannot be used, or lacks a part.
    """
    checkpoint = with_vae(find_checkpoint(model, revision), vae)
    checkpoint = with_loras(checkpoint, split(lora))
    target = choose_device(device)
    precision = choose_dtype(dtype, target)
    folder = fetch(checkpoint)
    with _loading(f"model {model}"):
        unet = _part(checkpoint, "unet", precision)
        add_loras(unet, checkpoint.loras, model)
        autoencoder = _autoencoder(checkpoint, precision)
        embedding, pooled = empty_prompt(checkpoint, folder)
    return {
        "unet": ready(unet, target),
        "scheduler": DDIMScheduler.from_config(checkpoint.config("scheduler")),
        "null_embedding": embedding,
        "pooled_embedding": pooled,
        "vae": ready(autoencoder, target),
    }


def load_autoencoder(
    model: str,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    vae: str | None = None,
) -> tuple[Any, int]:
    """The autoencoder of a model, or another one in its place, on a device and ready for inference;
    and `factor`: the sides of a picture must be multiples of it. Other weights are neither read nor
    downloaded."""
    checkpoint = with_vae(find_checkpoint(model, revision, only="vae"), vae)
    target = choose_device(device)
    with _loading(f"model {model}"):
        autoencoder = _autoencoder(checkpoint, choose_dtype(dtype, target))
    return ready(autoencoder, target), checkpoint.factor


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """Within the block, errors of diffusers and transformers become one line about `what`."""
    diffusers_logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as e:
        raise ModelError(f"{what} cannot be loaded: {first_line(e)}") from e


def ready(part: Any, device: torch.device) -> Any:
    """A network for inference on a device."""
    return part.requires_grad_(False).eval().to(device)


def choose_device(device: str | torch.device | None) -> torch.device:
    """The chosen device; with None or "auto" CUDA where there is a GPU, else the CPU."""
    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)  # pyright: ignore[reportArgumentType]
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: PyTorch sees no GPU here; use --device cpu")
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The chosen precision; with None or "auto" float16 on CUDA and float32 on CPU."""
    if dtype in (None, "auto"):
        return torch.float16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if dtype not in names:
        raise ConfigError(f"--dtype {dtype} is not known: use one of {', '.join(names)}")
    return names[dtype]


def _part(repository: Repository, part: str, dtype: torch.dtype) -> Any:
    """The unet or the autoencoder of a model, downloaded if needed."""
    import diffusers

    if isinstance(repository, Checkpoint) and repository.single:
        return load_part(repository, repository.single, part, dtype)
    return getattr(diffusers, repository.config(part)["_class_name"]).from_pretrained(
        fetch(repository, part) / repository.folder_of(part),
        torch_dtype=dtype,
        use_safetensors=True,
        variant=repository.variant(part),
        local_files_only=True,
    )


def _autoencoder(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The autoencoder of a model, or the one that replaces it."""
    narrow = checkpoint.description.upcast_vae and dtype == torch.float16
    precision = torch.float32 if narrow else dtype
    vae = checkpoint.vae
    if not vae:
        return _part(checkpoint, "vae", precision)
    with _loading(vae.label):
        return _part(vae, "vae", precision)
