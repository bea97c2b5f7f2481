"""A job's demand on a GPU's memory, from the parts of its model and its largest shard."""

from __future__ import annotations

from styleid_ray.batch.prepare import Prepared
from styleid_ray.config import FeatureDType, ResolvedParams
from styleid_ray.model.budget import SLACK
from styleid_ray.model.footprint import PictureMemory
from styleid_ray.model.peak import ModelPeaks, model_peaks
from styleid_ray.planning.gpus import TILES, Demand
from styleid_ray.planning.memory import held_features


def job_demand(job: Prepared, params: ResolvedParams, counts: list[list[int]]) -> Demand:
    """The demand of a job on the machine that it is planned for.

    Args:
        job: its precisions are not "auto".
        params: of the UNet's evaluations.
        counts: distinct contents, distinct styles and pairs of each shard.
    """
    config, model, checkpoint = job.config, job.checkpoint.description, job.checkpoint
    factor, dtype = model.vae_factor, config.dtype
    tile = config.tile and config.tile // factor
    vae_tile = config.vae_tile or config.tile
    unet = checkpoint.config("unet")
    vae = checkpoint.vae.config if checkpoint.vae else checkpoint.config("vae")

    def peaks(pixels: int | None) -> ModelPeaks:
        return model_peaks(unet, vae, job.latent, dtype, tile, pixels and pixels // factor)

    def held(dtype: FeatureDType) -> int:
        picture = job.picture_memory(params, dtype)
        return max(held_features(c, s * params.uses_style, picture) for c, s, _ in counts)

    whole = peaks(vae_tile)
    # Read or written, and packed or unpacked.
    recorded = 2 * _step(job.picture_memory(params, dtype), params)
    return Demand(
        size=config.working_size,
        weights=whole.weights,
        evaluation=round(SLACK * whole.unet),
        recorded=recorded,
        streamed=2 * _step(job.picture_memory(params, config.feature_dtype), params),
        vae=round(SLACK * whole.vae),
        tiled={
            side: round(SLACK * peaks(side).vae)
            for side in TILES
            if side < (vae_tile or config.working_size) and side % factor == 0
        },
        features=held(config.feature_dtype),
        int8=held("int8"),
        pictures=max(map(sum, counts)) * 3 * config.working_size**2,
    )


def _step(picture: PictureMemory, params: ResolvedParams) -> int:
    """Bytes of a pair's features in one step."""
    return (picture.content + picture.style) // params.steps
