"""The batch with the most latents per second on a GPU, and compiled models."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from styleid_ray.engine import cuda
from styleid_ray.engine.autoencoder import Autoencoder
from styleid_ray.engine.denoiser import Denoiser
from styleid_ray.engine.memory import Memory
from styleid_ray.engine.schedule import Step

BATCHES = (8, 16, 32, 64)
FASTER = 1.03
"""Speed-up per latent that a larger batch needs to be chosen."""
COMPILE_SECONDS = 180.0
"""Cost of compiling at the start of a job, about."""
COMPILE_GAIN = 0.25
"""Share of an evaluation's time that compiling saves, estimated for Stable Diffusion 1.x."""
_LONG = 10_000
"""UNet evaluations from which a job measures all batches, whatever its first call is."""
_VARIANTS = 64
_FOLDER = "TORCHINDUCTOR_CACHE_DIR"


class Tuner:
    """Measures the fastest batch of a GPU, and compiles the models where that pays.

    Args:
        compile: whether to compile: "auto" where `evaluations`, expected of the UNet, pay for it.
    """

    def __init__(
        self,
        denoise: Denoiser,
        autoencoder: Autoencoder,
        memory: Memory,
        compile: bool | Literal["auto"],
        evaluations: int,
    ) -> None:
        self.denoise, self.autoencoder, self.memory = denoise, autoencoder, memory
        self.compile, self.evaluations = compile, evaluations
        self.compiled = False
        self._tried: dict[tuple[int, ...], int] = {}

    def tune(self, shape: torch.Size, step: Step, most: int) -> None:
        """Measure batches on a GPU, then compile, at the first call for latents [C, h, w] or for
        more of them. A compiled model is not measured: it would be compiled for each batch.

        Args:
            shape: of the latents.
            step: any step of the call's schedule.
            most: latents that the call samples.
        """
        if self.evaluations >= _LONG:
            most = BATCHES[-1]
        if self.compiled or self._tried.get(shape, 0) >= min(most, BATCHES[-1]):
            return
        self._tried[shape] = most
        pace = self._measure(shape, step, most) if cuda.is_cuda(self.memory.device) else 0.0
        if self.compile == "auto" and compiling_pays(self.evaluations, pace):
            if not has_compiler():
                self.memory.note("compile: no C compiler on this machine: models run eager")
                return
            self.memory.note("compile: the job is long enough to pay for it")
        elif self.compile is not True:
            return
        compile_models(self.denoise.unet, self.autoencoder.vae)
        self.memory.batches.full = self.compiled = True

    def _measure(self, shape: torch.Size, step: Step, most: int) -> float:
        """Seconds per latent in the fastest batch; 0 if none fits the memory."""
        memory, device = self.memory, self.memory.device
        work: dict[int, int] = {}

        def seconds(batch: int) -> float | None:
            z = torch.zeros(batch, *shape, device=device)
            measured: list[tuple[float, int]] = []

            def evaluate() -> None:
                measured.append(cuda.measure(device, lambda: self.denoise(z, step)))

            if not (memory.fits(evaluate) and memory.fits(evaluate)):  # the first loads kernels
                cuda.empty_cache(device)
                return None
            took, work[batch] = measured[-1]
            return took

        size = memory.batches.size
        batches = (size,) if isinstance(size, int) else BATCHES
        if (best := best_batch(seconds, most, batches)) is None:
            return 0.0
        memory.batches.measured[shape[-2], shape[-1]], pace = best
        memory.work = max(memory.work, work[best[0]])
        size, rate = f"{shape[-1]} x {shape[-2]}", 1 / pace
        memory.note(f"batch: {best[0]} latents of {size} ({rate:,.0f} evaluations per second)")
        return pace


def best_batch(
    seconds: Callable[[int], float | None], most: int, batches: Sequence[int] = BATCHES
) -> tuple[int, float] | None:
    """The fastest of some batches and its seconds per latent; None when the smallest does not fit.

    Args:
        seconds: time of a call with a number of latents; None if they do not fit the memory.
        most: available latents: no batch larger than the first that holds them is tried.
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
    """Whether compiling saves more time than it costs, for evaluations of one latent that take
    `seconds` each uncompiled."""
    return COMPILE_GAIN * seconds * evaluations > COMPILE_SECONDS


def has_compiler() -> bool:
    """Whether there is a C compiler, which the compiled models need."""
    return any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")))


def compile_models(unet: Any, vae: Any = None, backend: str = "inductor") -> None:
    """Compile UNet and autoencoder, each as a whole and in channels-last order, in place.

    They are compiled at their next calls, and again for each shape of batch and latents. PyTorch
    keeps the compiled code in a folder of the node for the next process: $TORCHINDUCTOR_CACHE_DIR,
    by default ~/.cache/styleid_ray/compiled.
    """
    os.environ.setdefault(_FOLDER, str(Path("~/.cache/styleid_ray/compiled").expanduser()))
    config = torch._dynamo.config
    config.recompile_limit = max(_VARIANTS, config.recompile_limit)
    for model in (unet, vae.encoder, vae.decoder) if vae else (unet,):
        model.to(memory_format=torch.channels_last)
        model.compile(backend=backend, dynamic=False)
