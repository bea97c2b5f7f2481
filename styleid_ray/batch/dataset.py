"""StyleID as one step of another Ray Data pipeline."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from PIL import Image
from ray.data import ActorPoolStrategy, Dataset
from ray.data.extensions import ArrowVariableShapedTensorArray

from styleid_ray.batch.cluster.resources import Resources, fitting
from styleid_ray.batch.prepare import model_of
from styleid_ray.batch.stages.row_error import columns
from styleid_ray.config import (
    DEMO_MODEL,
    PIXEL_METHODS,
    JobConfig,
    OutputOptions,
    RunOptions,
    SourceOptions,
    StyleParams,
)
from styleid_ray.datasets.pictures import list_pictures
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, RowError, SourceError, suggestion
from styleid_ray.imaging import decode, fit_picture, restore
from styleid_ray.imaging.modes import to_rgb
from styleid_ray.jobfile import make_config
from styleid_ray.planning.draw import draw_styles
from styleid_ray.storage.fetch import fetch
from styleid_ray.storage.locations import shown

NEW = ("stylized", "style", "error")
_READERS = 8
_STYLES_KEPT = 256


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
            `fit`, `batch`, `features`, `storage_options` and so on, except those of its sources
            or its output.

    Raises:
        ConfigError: an argument has another type; an option is unknown, not valid, or one of a
            job's sources or output (such as masks, pairing or reject); a value is drawn per pair;
            or the dataset, if its columns are known, lacks `image`.
        ModelError: a model on this machine, its autoencoder or LoRA weights cannot be used; other
            models are checked by the actors.
        SourceError: the styles cannot be listed, or are fewer than drawn for each content.
    """
    _check_type("styles", styles, str | os.PathLike, "one folder, file, glob pattern or URL")
    _check_type("image", image, str, "the name of the column of pictures")
    _check_type("params", params, StyleParams | None, "StyleParams(gamma=0.75, ...)")
    _check_type("ds", ds, Dataset, "a ray.data.Dataset, such as ray.data.read_images(...)")
    styles = os.fspath(styles)
    chosen = (params or StyleParams()).model_dump()
    _check_options(options)
    config = make_config({"content": styles, "style": styles, "output": "-", **chosen, **options})
    for name, draw in config.draws.items():
        raise ConfigError(
            f"{name} {draw} is drawn per pair, which only a job does: give one number or a schedule"
        )
    if config.model == DEMO_MODEL or os.path.exists(os.path.expanduser(config.model)):
        model_of(config)  # the actors check other models
    source = list_pictures(styles, "style", config.storage_options)
    if styles_per_content > len(source.keys):
        raise SourceError(
            f"styles_per_content is {styles_per_content}, but there are {len(source.keys)} styles"
        )
    names = ds.columns(fetch_if_missing=False)
    if names is not None:
        _check_columns(names, image)
    if num_gpus_per_actor is None and config.method in PIXEL_METHODS:
        num_gpus_per_actor = 0
    resources = _resources(actors, num_gpus_per_actor)
    return ds.map_batches(
        StylizeRows,
        batch_format="pyarrow",
        batch_size=contents_per_batch,
        fn_constructor_args=(config, resources, source, styles_per_content, seed, image),
        compute=ActorPoolStrategy(
            min_size=resources.min_actors,
            max_size=resources.max_actors,
            max_concurrent_calls_per_actor=2,
            enable_true_multi_threading=True,
        ),
        num_gpus=resources.gpus_per_actor or None,
        num_cpus=resources.cpus_per_actor,
    )


def _check_type(name: str, value: Any, kind: Any, wanted: str) -> None:
    if not isinstance(value, kind):
        given = shown(repr(value))[:60]
        raise ConfigError(f"stylize_dataset: {name} is {given}: give {wanted}")


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuses options of a job's sources, output and run: the dataset and `styles` are the sources,
    and the caller's pipeline does the rest."""
    own = [name for name in signature(stylize_dataset).parameters if name != "options"]
    known = [*own, *JobConfig.model_fields]
    if unknown := next((name for name in options if name not in known), None):
        meant = suggestion(unknown, known)
        listed = f"; its own arguments are {', '.join(own)}"
        raise ConfigError(f"stylize_dataset has no argument {shown(unknown)}{meant or listed}")
    names = {*SourceOptions.model_fields, *OutputOptions.model_fields, *RunOptions.model_fields}
    names -= {"storage_options"}
    given = sorted(name for name in names if options.get(name) is not None)
    if given:
        raise ConfigError(
            f"{', '.join(given)}: no effect in stylize_dataset; leave out, or run a job "
            "(styleid-ray stylize)"
        )


def _check_columns(names: Sequence[str], image: str) -> None:
    if image not in names:
        raise ConfigError(
            f"the dataset has no column {image!r}: name one of {list(names)} with image=..."
        )
    if taken := [name for name in NEW if name in names]:
        raise ConfigError(f"the dataset has columns named {taken} already: rename them")


def _resources(actors: int | tuple[int, int] | None, gpus_per_actor: float | None) -> Resources:
    gpus = ray.cluster_resources().get("GPU", 0) if ray.is_initialized() else 0
    if gpus_per_actor is None:
        gpus_per_actor = 1 if gpus else 0
    if actors is None:
        actors = max(1, fitting(gpus, gpus_per_actor)) if gpus_per_actor else 1
    fewest, most = (actors, actors) if isinstance(actors, int) else actors
    return Resources(fewest, most, gpus_per_actor, 0 if gpus_per_actor else 1)


class StylizeRows:
    """Batches of rows to batches of rows with pictures. One instance is one Ray actor."""

    def __init__(
        self,
        config: JobConfig,
        resources: Resources,
        styles: Source,
        count: int,
        seed: int,
        image: str,
    ) -> None:
        from styleid_ray.batch.stages.device import Device
        from styleid_ray.batch.stages.engine import load_pipeline

        began = time.perf_counter()
        checkpoint, config = model_of(config)
        self.config, self.styles, self.count, self.seed = config, styles, count, seed
        self.image = image
        self.device = Device(load_pipeline(config, checkpoint.revision, resources), began)
        self.device.watch(60 * config.stall_minutes)
        self.params = config.style_params
        self._style = lru_cache(_STYLES_KEPT)(self._read_style)

    def __call__(self, batch: pa.Table) -> pa.Table:
        _check_columns(batch.column_names, self.image)
        cells = [_unwrapped(cell.as_py()) for cell in batch[self.image]]
        keys = [hashlib.blake2b(_identity(cell), digest_size=16).hexdigest() for cell in cells]
        drawn = draw_styles(keys, len(self.styles.keys), self.count, self.seed)
        with ThreadPoolExecutor(_READERS) as readers:
            contents = list(readers.map(self._content, cells))
            each = {at for row in drawn for at in row}
            styles = dict(zip(each, readers.map(self._style, each), strict=True))
        rows = [(row, int(at)) for row, some in enumerate(drawn) for at in some]
        made, errors = self._stylize(rows, contents, styles)
        values = [
            ArrowVariableShapedTensorArray.from_numpy(made),
            pa.array([self.styles.keys[at] for _, at in rows], pa.string()),
            pa.array(errors, pa.string()),
        ]
        table = batch.take(pa.array([row for row, _ in rows], pa.int64()))
        for name, value in zip(NEW, values, strict=True):
            table = table.append_column(name, value)
        return table

    def _stylize(
        self, rows: Sequence[tuple[int, int]], contents: Sequence[Any], styles: dict[int, Any]
    ) -> tuple[list[np.ndarray], list[str | None]]:
        """Pictures and errors of the pairs `rows`, from pictures with sizes or their errors."""
        from styleid_ray.batch.stages.pairs import Pairs, Picture
        from styleid_ray.engine.autoencoder import NOT_FINITE

        made = [np.zeros((0, 0, 3), np.uint8) for _ in rows]
        errors: list[str | None] = [
            next((x for x in (contents[row], styles[style]) if isinstance(x, str)), None)
            for row, style in rows
        ]
        good = [at for at, error in enumerate(errors) if error is None]
        if not good:
            return made, errors
        content_at = {row: i for i, row in enumerate(dict.fromkeys(rows[at][0] for at in good))}
        style_at = {style: i for i, style in enumerate(dict.fromkeys(rows[at][1] for at in good))}
        pairs = Pairs(
            [Picture.of(contents[row][0]) for row in content_at],
            [Picture.of(styles[style][0]) for style in style_at],
            [(content_at[rows[at][0]], (style_at[rows[at][1]],)) for at in good],
            [self.params] * len(good),
        )
        for i, pixels in self.device.stylize(pairs):
            at = good[i]
            if pixels is None:
                errors[at] = NOT_FINITE
                continue
            _, (width, height) = contents[rows[at][0]]
            picture = restore(Image.fromarray(pixels), width, height, self.config.fit)
            made[at] = np.array(picture)
        return made, errors

    def _content(self, cell: Any) -> tuple[np.ndarray, tuple[int, int]] | str:
        try:
            return self._fitted(_picture(cell, self.config), self.config.working_size)
        except RowError as e:
            return columns(e, "content")["message"]

    def _read_style(self, at: int) -> tuple[np.ndarray, tuple[int, int]] | str:
        key = self.styles.keys[at]
        try:
            file = fetch(self.styles.url(key), self.styles.storage_options, self.config.max_bytes)
            return self._fitted(decode(file.data, self.config.max_pixels), self.config.style_size)
        except RowError as e:
            return columns(e, f"style {key}")["message"]

    def _fitted(self, picture: Image.Image, size: int) -> tuple[np.ndarray, tuple[int, int]]:
        fitted = fit_picture(picture, size, self.config.fit, self.device.pipe.factor)
        return np.asarray(fitted), picture.size


def _picture(cell: Any, config: JobConfig) -> Image.Image:
    """The RGB picture of a cell; raises RowError."""
    if isinstance(cell, bytes):
        return decode(cell, config.max_pixels)
    if isinstance(cell, str):
        return decode(fetch(cell, config.storage_options, config.max_bytes).data, config.max_pixels)
    pixels = np.asarray(cell)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        kind = f"{pixels.dtype} {list(pixels.shape)}"
        raise RowError("decode", f"a picture must be uint8 [H, W] or [H, W, C], not {kind}")
    try:
        return to_rgb(Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))
    except (TypeError, ValueError) as e:
        raise RowError("decode", f"no picture has the shape {list(pixels.shape)}") from e


def _unwrapped(cell: Any) -> Any:
    return cell.get("bytes") or cell.get("path") if isinstance(cell, dict) else cell


def _identity(cell: Any) -> bytes:
    if isinstance(cell, np.ndarray):
        return np.ascontiguousarray(cell).tobytes()
    return cell if isinstance(cell, bytes) else str(cell).encode()
