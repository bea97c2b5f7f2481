"""A job's demand on memory, from the parts of its model and its largest shard, and on storage."""

from dataclasses import dataclass

import numpy as np

from styleid_ray.batch.prepare import Prepared
from styleid_ray.config import JobConfig, ResolvedParams
from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.errors import RowError
from styleid_ray.imaging import decode, encode, fit_picture, restore
from styleid_ray.model.budget import SLACK
from styleid_ray.model.footprint import PictureMemory, picture_memory
from styleid_ray.model.peak import ModelPeaks, model_peaks
from styleid_ray.planning import Plan
from styleid_ray.planning.columns import all_styles, codes, distinct, further_styles
from styleid_ray.planning.gpus import TILES, Demand, GpuFit, gpu_fits
from styleid_ray.planning.memory import AUTO_BATCH, held_features, shard_memory
from styleid_ray.storage.version import size_in

_SAMPLE = 5
"""Contents that are encoded as results would be, to estimate the results' bytes."""


@dataclass(frozen=True)
class Place:
    """Bytes of the largest shard on the device, and on the host including its decoded pictures."""

    device: int
    host: int


def places_of(job: Prepared, counts: list[list[int]]) -> dict[str, Place]:
    """Memory by feature store: the job's own, or each if the job leaves it open. `counts` as in
    `job_demand`."""
    config, params, pictures = job.config, job.config.unet_params, _decoded(job, counts)
    if params is None:
        return {"device": Place(0, pictures)}
    picture = _picture(job, params, config.feature_dtype)
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

    whole, picture = peaks(vae_tile), _picture(job, params, config.feature_dtype)
    return Demand(
        size=config.working_size,
        weights=whole.weights,
        evaluation=round(SLACK * whole.unet),
        # Features are read or written, and packed or unpacked.
        recorded=2 * _step(_picture(job, params, dtype), params),
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


def bytes_read(plan: Plan) -> int | None:
    """Bytes of all pictures, each counted once per shard that reads it; None if the listing has no
    sizes."""
    shard, total = codes(plan.table["shard"]).astype(np.int64), 0
    styles = all_styles(plan.table, further_styles(plan.table.column_names))
    contents = np.arange(plan.pairs), codes(plan.table["content"])
    for (rows, at), source in ((contents, plan.contents), (styles, plan.styles)):
        sizes = [size_in(version) for version in source.versions or [""]]
        if None in sizes:
            return None
        read = distinct(shard[rows] * len(sizes) + at) % len(sizes)
        total += int(np.bincount(read, minlength=len(sizes)) @ np.array(sizes, np.int64))
    return total


def bytes_written(job: Prepared, plan: Plan) -> int | None:
    """Bytes of the results, estimated from a sample of contents in the results' encoding; None if
    none of them can be read."""
    config, contents = job.config, plan.contents
    sizes: list[int] = []
    for at in np.linspace(0, len(contents.keys) - 1, min(_SAMPLE, len(contents.keys))).round():
        try:
            place = contents.places[int(at)] if contents.places is not None else None
            data = fetch_picture(contents, contents.keys[int(at)], place, config.max_bytes).data
            image = decode(data, config.max_pixels)
            fitted = fit_picture(image, config.working_size, config.fit, job.checkpoint.factor)
            result = restore(fitted, image.width, image.height, config.fit)
            sizes.append(len(encode(result, config.picture_format, config.quality)))
        except RowError:
            continue  # as in a run, a bad picture is no reason to stop
    return round(plan.pairs * sum(sizes) / len(sizes)) if sizes else None


def _picture(job: Prepared, params: ResolvedParams, dtype: str) -> PictureMemory:
    """Memory of a content whose latent is `job.latent`, and of a style, which has no windows."""
    model, windows = job.checkpoint.description, job.windows
    tile = windows.height if len(windows) > 1 else None
    content = picture_memory(model, job.latent, params, dtype, tile)
    style = picture_memory(model, (windows.height, windows.width), params, dtype)
    return PictureMemory(content.content, style.style)


def _step(picture: PictureMemory, params: ResolvedParams) -> int:
    """Bytes of a pair's features in one step."""
    return (picture.content + picture.style) // params.steps


def _batch(config: JobConfig) -> int:
    return AUTO_BATCH if config.batch == "auto" else config.batch


def _decoded(job: Prepared, counts: list[list[int]]) -> int:
    """Bytes of the decoded pictures of the largest shard."""
    return max(map(sum, counts)) * 3 * job.config.working_size**2
