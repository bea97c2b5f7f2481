"""A job's demand on memory, from the parts of its model and its largest shard."""

from dataclasses import dataclass

from styleid_ray.batch.prepare import Prepared
from styleid_ray.config import JobConfig, ResolvedParams
from styleid_ray.model.budget import SLACK
from styleid_ray.model.footprint import PictureMemory
from styleid_ray.model.peak import ModelPeaks, model_peaks
from styleid_ray.planning.gpus import TILES, Demand, GpuFit, gpu_fits
from styleid_ray.planning.memory import AUTO_BATCH, held_features, shard_memory


@dataclass(frozen=True)
class Place:
    """Bytes that the largest shard needs on the device and on the host, there with its decoded
    pictures."""

    device: int
    host: int


def places_of(job: Prepared, counts: list[list[int]]) -> dict[str, Place]:
    """Memory by feature store: the job's own, or each if the job leaves it open. `counts` as in
    `job_demand`."""
    config, params, pictures = job.config, job.config.unet_params, _decoded(job, counts)
    if params is None:
        return {"device": Place(0, pictures)}
    picture = job.picture_memory(params, config.feature_dtype)
    shards = [
        shard_memory(c, s * params.uses_style, picture, _batch(config), params.steps)
        for c, s, _ in counts
    ]
    features = max(shard.features for shard in shards)
    places = {
        "device": Place(features, pictures),
        "host": Place(max(shard.streamed for shard in shards), features + pictures),
    }
    return places if config.features == "auto" else {config.features: places[config.features]}


def fits_of(job: Prepared, counts: list[list[int]], gpus_per_actor: float) -> list[GpuFit]:
    """The part of the job that fits on common GPUs; empty without a UNet or on CPUs."""
    config, params = job.config, job.config.unet_params
    if params is None or not gpus_per_actor:
        return []
    store = None if config.features == "auto" else config.features
    limit = int(config.feature_memory * 2**30) if config.feature_memory else None
    demand = job_demand(job, params, counts)
    return gpu_fits(demand, _batch(config), store, min(1, gpus_per_actor), limit)


def job_demand(job: Prepared, params: ResolvedParams, counts: list[list[int]]) -> Demand:
    """The demand of a job, whose precisions are not "auto", on one GPU and its host. `counts` are
    the distinct contents, distinct styles and pairs of each shard."""
    config, model, checkpoint = job.config, job.checkpoint.description, job.checkpoint
    factor, dtype = model.vae_factor, config.dtype
    tile = config.tile and config.tile // factor
    vae_tile = config.vae_tile or config.tile
    unet = checkpoint.config("unet")
    vae = checkpoint.vae.config() if checkpoint.vae else checkpoint.config("vae")

    def peaks(pixels: int | None) -> ModelPeaks:
        return model_peaks(unet, vae, job.latent, dtype, tile, pixels and pixels // factor)

    whole, picture = peaks(vae_tile), job.picture_memory(params, config.feature_dtype)
    return Demand(
        size=config.working_size,
        weights=whole.weights,
        evaluation=round(SLACK * whole.unet),
        # Features are read or written, and packed or unpacked.
        recorded=2 * _step(job.picture_memory(params, dtype), params),
        streamed=2 * _step(picture, params),
        vae=round(SLACK * whole.vae),
        tiled={
            side: round(SLACK * peaks(side).vae)
            for side in TILES
            if side < (vae_tile or config.working_size) and side % factor == 0
        },
        features=max(held_features(c, s * params.uses_style, picture) for c, s, _ in counts),
        pictures=_decoded(job, counts),
    )


def _step(picture: PictureMemory, params: ResolvedParams) -> int:
    """Bytes of a pair's features in one step."""
    return (picture.content + picture.style) // params.steps


def _batch(config: JobConfig) -> int:
    return AUTO_BATCH if config.batch == "auto" else config.batch


def _decoded(job: Prepared, counts: list[list[int]]) -> int:
    """Bytes of the decoded pictures of the largest shard."""
    return max(map(sum, counts)) * 3 * job.config.working_size**2
