"""A job's method with its model, loaded with the options of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from styleid_ray.batch.cluster.node_model import model_on_node
from styleid_ray.config import PIXEL_METHODS, JobConfig

if TYPE_CHECKING:
    from styleid_ray.batch.cluster.resources import Resources


def load_pipeline(config: JobConfig, revision: str | None, resources: Resources) -> Any:
    """`load_engine` on the device and with the memory and threads of one actor."""
    import torch

    threads, memory = resources.share()
    torch.set_num_threads(threads)
    return load_engine(
        config,
        revision,
        resources.device(config.device),
        host_share=memory,
        device_share=resources.device_share,
        evaluations=resources.evaluations,
    )


def load_engine(
    config: JobConfig,
    revision: str | None,
    device: str = "",
    host_share: float = 1.0,
    device_share: float = 1.0,
    evaluations: int = 0,
) -> Any:
    """The `Stylizer` of a job's method: a `StyleIDPipeline`, or one that StyleID is compared with.

    Args:
        config: the job.
        revision: of the checkpoint from `find_model`.
        device: where to compute; empty for the job's own.
        host_share, device_share, evaluations: as in `StyleIDPipeline`.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: the requested device does not exist.
    """
    if config.method in PIXEL_METHODS:
        from styleid_ray.engine.baseline_pipeline import Baseline

        return Baseline(config.method)
    device, model = device or config.device, model_on_node(config, revision)
    if config.method == "latent-adain":
        from styleid_ray.engine.baseline_pipeline import Baseline
        from styleid_ray.model.loading import load_autoencoder

        vae, factor = load_autoencoder(*model, config.dtype, device, config.vae)
        shares = host_share, device_share
        return Baseline(config.method, vae, factor, config.batch, *shares, config.vae_tile)
    from styleid_ray.engine.pipeline import StyleIDPipeline

    return StyleIDPipeline.from_pretrained(
        *model,
        config.dtype,
        device,
        vae=config.vae,
        lora=config.lora,
        tile=config.tile,
        vae_tile=config.vae_tile,
        batch_size=config.batch,
        features=config.features,
        feature_dtype=config.feature_dtype,
        feature_memory=config.feature_memory,
        compile={"on": True, "off": False}.get(config.compile, "auto"),
        host_share=host_share,
        device_share=device_share,
        evaluations=evaluations,
    )
