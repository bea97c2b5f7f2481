"""A job's model with the options of the engine, on the actor's device."""

from __future__ import annotations

from typing import Any

from styleid_ray.batch.cluster.node_model import model_on_node
from styleid_ray.config import JobConfig


def load_engine(config: JobConfig, revision: str | None, device: str = "", **shares: Any) -> Any:
    """The `StyleIDPipeline` of a job.

    Args:
        config: the job.
        revision: that of the checkpoint from `find_model`.
        device: where to compute, in place of the job's own.
        shares: `host_share`, `device_share` and `evaluations`, as of `StyleIDPipeline`.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: the device asked for is not there.
    """
    from styleid_ray.engine.pipeline import StyleIDPipeline

    return StyleIDPipeline.from_pretrained(
        *model_on_node(config, revision),
        config.dtype,
        device or config.device,
        vae=config.vae,
        lora=config.lora,
        tile=config.tile,
        vae_tile=config.vae_tile,
        batch_size=config.batch,
        features=config.features,
        feature_dtype=config.feature_dtype,
        feature_memory=config.feature_memory,
        compile={"on": True, "off": False}.get(config.compile, "auto"),
        **shares,
    )
