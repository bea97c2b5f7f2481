"""What makes a GPU fast: the batch with the most latents per second, and compiled models."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

BATCHES = (8, 16, 32, 64)
FASTER = 1.03
"""How much faster per latent a larger batch must be to be taken."""
COMPILE_SECONDS = 180.0
"""What compiling costs at the start of a job, about."""
COMPILE_GAIN = 0.25
"""Part of an evaluation's time that compiling saves, as reckoned for Stable Diffusion 1.x."""
_VARIANTS = 64
_FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def best_batch(
    seconds: Callable[[int], float | None], most: int, batches: Sequence[int] = BATCHES
) -> tuple[int, float] | None:
    """The fastest of some batches and its seconds per latent; None when the smallest does not fit.

    Args:
        seconds: time of a call with a number of latents; None where they do not fit the memory.
        most: latents that there are: batches beyond the first that holds them are not tried.
        batches: in ascending order.
    """
    best: tuple[int, float] | None = None
    for batch in batches:
        if (took := seconds(batch)) is None or (best and took / batch * FASTER > best[1]):
            break
        best = batch, took / batch
        if batch >= most:
            break
    return best


def compiling_pays(evaluations: int, seconds: float) -> bool:
    """Whether compiling saves more time than it costs, over a number of evaluations of one latent
    that take `seconds` each without it."""
    return COMPILE_GAIN * seconds * evaluations > COMPILE_SECONDS


def compile_models(unet: Any, vae: Any = None, backend: str = "inductor") -> None:
    """Compile UNet and autoencoder, each as a whole and in channels-last order, in place.

    They are compiled at their next calls, anew for each shape of batch and latents. PyTorch keeps
    the compiled code in a folder of the node, from which the next process takes it:
    $TORCHINDUCTOR_CACHE_DIR, by default ~/.cache/styleid_ray/compiled.
    """
    os.environ.setdefault(_FOLDER, str(Path("~/.cache/styleid_ray/compiled").expanduser()))
    config = torch._dynamo.config
    config.recompile_limit = max(_VARIANTS, config.recompile_limit)
    for model in (unet, vae.encoder, vae.decoder) if vae else (unet,):
        model.to(memory_format=torch.channels_last)
        model.compile(backend=backend, dynamic=False)
