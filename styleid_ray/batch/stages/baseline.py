"""The methods that StyleID is compared with, as a job loads them."""

from __future__ import annotations

from styleid_ray.batch.cluster.node_model import model_on_node
from styleid_ray.config import PIXEL_METHODS, JobConfig
from styleid_ray.engine.baseline_pipeline import LatentAdaIN, PixelTransfer
from styleid_ray.engine.stylizer import Stylizer


def load_baseline(
    config: JobConfig,
    revision: str | None,
    device: str,
    host_share: float = 1.0,
    device_share: float = 1.0,
) -> Stylizer:
    """A job's method other than StyleID; of its model, if it has one, the autoencoder alone.

    Args:
        config: the job.
        revision: that of the checkpoint from `find_model`.
        device: where to compute.
        host_share, device_share: as of `StyleIDPipeline`.

    Raises:
        ModelError: the autoencoder cannot be loaded.
        ConfigError: the device asked for is not there.
    """
    if config.method in PIXEL_METHODS:
        return PixelTransfer(config.method)
    from styleid_ray.model.loading import load_autoencoder

    model = model_on_node(config, revision)
    vae, factor = load_autoencoder(*model, config.dtype, device, config.vae)
    return LatentAdaIN(vae, factor, config.batch, host_share, device_share, config.vae_tile)
