"""torch.compile for UNet and autoencoder, where a job is long enough to pay for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

SECONDS = 180.0
"""What compiling costs, about, at the start of a job."""
GAIN = 0.25
"""Part of an evaluation's time that a compiled UNet saves, as reckoned for Stable Diffusion 1.x."""
_VARIANTS = 64
_FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def pays(evaluations: int, seconds: float) -> bool:
    """Whether compiling saves more time than it costs, over so many evaluations of one latent that
    take `seconds` each without it."""
    return GAIN * seconds * evaluations > SECONDS


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
