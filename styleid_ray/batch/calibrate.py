"""How fast a model's UNet is on the device at hand."""

from __future__ import annotations

import time

from styleid_ray.batch.cluster.node_model import model_on_node
from styleid_ray.batch.prepare import Prepared

BATCH = 8
SECONDS = 20.0


def measure_rate(job: Prepared, seconds: float = SECONDS) -> float:
    """UNet evaluations a second of one actor, measured on random latents at the job's size.

    The model is loaded and its plain UNet runs in batches of `BATCH` for `seconds`, twice at
    least: the first time does not count. Injection, the autoencoder, and reading and writing
    pictures are left out: a job is somewhat slower. Raises ModelError when the model cannot be
    loaded.
    """
    import torch

    from styleid_ray.engine.pipeline import StyleIDPipeline
    from styleid_ray.engine.schedule import Step

    config, side = job.config, job.latent_side
    model = model_on_node(config, job.checkpoint.revision)
    pipe = StyleIDPipeline.from_pretrained(*model, config.dtype, config.device)
    latents = torch.randn(BATCH, pipe.unet.config.in_channels, side, side, device=pipe.device)

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
    return calls * BATCH / (time.perf_counter() - began)
