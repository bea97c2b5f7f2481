"""The speed of a model's UNet on this machine's device."""

from __future__ import annotations

import time

from styleid_ray.batch.prepare import Prepared
from styleid_ray.batch.stages.engine import load_engine

BATCH = 8
SECONDS = 20.0


def measure_rate(job: Prepared, seconds: float = SECONDS) -> float:
    """UNet evaluations a second of one actor, measured on random latents at the job's size.

    The model is loaded and its plain UNet runs in batches of `BATCH`, or of as many latents as the
    job takes at once, for `seconds`, twice at least: the first time does not count. Injection, the
    autoencoder, and reading and writing pictures are left out: a job is somewhat slower. Raises
    ModelError when the model cannot be loaded.
    """
    import torch

    from styleid_ray.engine.schedule import Step

    config, windows = job.config, job.windows
    shape = windows.height, windows.width
    pipe = load_engine(config, job.checkpoint.revision)
    batch = min(BATCH, pipe.memory.most(shape))
    latents = torch.randn(batch, pipe.model.latent_channels, *shape, device=pipe.device)

    def evaluate() -> None:
        eps = pipe.denoise(latents, Step(500, 0.5, 0.5))
        eps.sum().item()  # known when the device is done

    with torch.no_grad():
        end = time.perf_counter() + seconds
        evaluate()
        began, calls = time.perf_counter(), 0
        while not calls or time.perf_counter() < end:
            evaluate()
            calls += 1
    return calls * batch / (time.perf_counter() - began)
