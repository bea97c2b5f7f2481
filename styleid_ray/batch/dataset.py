"""StyleID as one step of another Ray Data pipeline."""

import os
from collections.abc import Mapping
from inspect import signature
from typing import Any

import ray
from ray.data import ActorPoolStrategy, Dataset

from styleid_ray.batch.cluster.resources import Resources, fitting, gpus_per_actor
from styleid_ray.batch.prepare import model_of
from styleid_ray.batch.stages.rows import StylizeRows, check_columns
from styleid_ray.config import (
    DEMO_MODEL,
    JobConfig,
    OutputOptions,
    RunOptions,
    SourceOptions,
    StyleParams,
)
from styleid_ray.datasets.pictures import list_pictures
from styleid_ray.errors import ConfigError, SourceError, suggestion
from styleid_ray.jobfile import make_config
from styleid_ray.storage.locations import shown


def stylize_dataset(
    ds: Dataset,
    *,
    styles: str | os.PathLike[str],
    styles_per_content: int = 1,
    seed: int = 0,
    image: str = "image",
    params: StyleParams | None = None,
    contents_per_batch: int = 16,
    actors: int | tuple[int, int] | None = None,
    num_gpus_per_actor: float | None = None,
    **options: Any,
) -> Dataset:
    """The dataset with each picture stylised: `styles_per_content` rows per row.

    Every column is kept. New columns are `stylized` (uint8 [H, W, 3] at the content's own size),
    `style` (key of the style) and `error` (null, or the reason why a pair failed; its picture then
    has size 0 x 0). Nothing is computed before the dataset is consumed, and the settings of Ray,
    Ray Data and logging do not change. A content's styles depend only on the picture, the seed and
    the list of styles. Styles that the contents of a batch share are inverted once.

    Args:
        ds: any dataset with a column of pictures: arrays (uint8 [H, W], [H, W, 3] or [H, W, 4]),
            encoded bytes, structs of `bytes` and `path` as in Hugging Face, paths or URLs.
        styles: folder, file, glob pattern or URL of the style pictures; listed at once.
        styles_per_content: distinct styles drawn for each content.
        seed: of the draw.
        image: the column of pictures.
        params: the method's parameters; by default those of the paper.
        contents_per_batch: contents that are stylised together.
        actors: number of actors that hold the model, or its minimum and maximum; by default one
            per GPU, or one.
        num_gpus_per_actor: GPUs per actor, 0 for the CPU; by default 1 if there are GPUs.
        options: more options of a job by name: `method`, `model`, `revision`, `dtype`, `size`,
            `fit`, `batch`, `features`, `storage_options` and so on, except those of its sources,
            shards, cluster and output.

    Raises:
        ConfigError: an argument or option is unknown, not valid, or without effect here (such as
            masks, pairing or reject); a value is drawn per pair; or the dataset, if its columns are
            known, lacks `image`.
        ModelError: a model on this machine, its autoencoder or LoRA weights cannot be used; other
            models are checked by the actors.
        SourceError: the styles cannot be listed, or are fewer than drawn for each content.
    """
    if not isinstance(ds, Dataset):
        raise ConfigError("stylize_dataset: ds must be a ray.data.Dataset (ray.data.read_images)")
    if not isinstance(contents_per_batch, int) or contents_per_batch < 1:
        raise ConfigError(
            f"contents_per_batch is {contents_per_batch!r}: must be a whole number from 1"
        )
    if params is not None and not isinstance(params, (StyleParams, Mapping)):
        raise ConfigError(f"params is {params!r}: must be a StyleParams")
    options = {**dict(params or {}), **options}
    _check_options(options)
    sources = {"content": "-", "style": str(styles) if isinstance(styles, os.PathLike) else styles}
    own = {
        "styles_per_content": styles_per_content,
        "seed": seed,
        "actors": actors,
        "num_gpus_per_actor": num_gpus_per_actor,
    }
    config = make_config({**sources, "output": "-", **own, **options})
    for name, draw in config.draws.items():
        raise ConfigError(
            f"{name} {draw} is drawn per pair, which only a job does: give one number or a schedule"
        )
    if config.model == DEMO_MODEL or os.path.exists(os.path.expanduser(config.model)):
        model_of(config)  # the actors check other models
    source = list_pictures(config.style or "", "style", config.storage_options)
    if styles_per_content > len(source.keys):
        raise SourceError(
            f"styles_per_content is {styles_per_content}, but there are {len(source.keys)} styles"
        )
    names = ds.columns(fetch_if_missing=False)
    if names is not None:
        check_columns(names, image)
    resources = _resources(config)
    return ds.map_batches(
        StylizeRows,
        batch_format="pyarrow",
        batch_size=contents_per_batch,
        fn_constructor_args=(config, resources, source, image),
        compute=ActorPoolStrategy(
            min_size=resources.min_actors,
            max_size=resources.max_actors,
            max_concurrent_calls_per_actor=2,
            enable_true_multi_threading=True,
        ),
        num_gpus=resources.gpus_per_actor or None,
        num_cpus=resources.cpus_per_actor,
    )


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuses options of a job's sources, shards, cluster, output and run: the dataset and `styles`
    are the sources, and the caller's pipeline does the rest."""
    own = [name for name in signature(stylize_dataset).parameters if name != "options"]
    known = [*own, *JobConfig.model_fields]
    if unknown := next((name for name in options if name not in known), None):
        meant = suggestion(unknown, known)
        listed = f"; its own arguments are {', '.join(own)}"
        raise ConfigError(f"stylize_dataset has no argument {shown(unknown)}{meant or listed}")
    names = {*SourceOptions.model_fields, *OutputOptions.model_fields, *RunOptions.model_fields}
    names |= {"address", "accelerator_type", "grow", "shard_pairs"}
    names -= {"storage_options"}
    if idle := sorted(name for name in names if options.get(name) is not None):
        raise ConfigError(
            f"{', '.join(idle)}: no effect in stylize_dataset; leave out, or run a job "
            "(styleid-ray stylize)"
        )


def _resources(config: JobConfig) -> Resources:
    """Of the actors, by the GPUs of the connected cluster, if any."""
    gpus = ray.cluster_resources().get("GPU", 0) if ray.is_initialized() else 0
    per_actor = gpus_per_actor(config, gpus > 0)
    default = max(1, fitting(gpus, per_actor)) if per_actor else 1
    fewest, most = config.actors or (default, default)
    return Resources(fewest, most, per_actor, 0 if per_actor else 1)
