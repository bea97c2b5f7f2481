"""The stage of `stylize_dataset`: an actor that stylises the pictures of a dataset's rows."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from ray.data.extensions import ArrowVariableShapedTensorArray

from styleid_ray.batch.cluster.resources import Resources
from styleid_ray.batch.prepare import model_of
from styleid_ray.batch.stages.recipe import Recipe
from styleid_ray.batch.stages.row_error import columns
from styleid_ray.config import JobConfig
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, RowError
from styleid_ray.imaging import decode, fit_picture, restore
from styleid_ray.imaging.modes import to_rgb
from styleid_ray.planning.draw import draw_styles
from styleid_ray.storage.fetch import fetch

NEW = ("stylized", "style", "error")
"""The columns that rows gain."""
_READERS = 8
_STYLES_KEPT = 256


def check_columns(names: Sequence[str], image: str) -> None:
    """Raises ConfigError if a dataset lacks the column of pictures, or has one of `NEW`."""
    if image not in names:
        raise ConfigError(
            f"the dataset has no column {image!r}: name one of {list(names)} with image=..."
        )
    if taken := [name for name in NEW if name in names]:
        raise ConfigError(f"the dataset has columns named {taken} already: rename them")


class StylizeRows:
    """Batches of rows to batches of rows with pictures. One instance is one Ray actor.

    Args:
        config: a job; its pairing and sources are not used.
        resources: of the actors.
        styles: to draw from.
        image: column of pictures.
    """

    def __init__(self, config: JobConfig, resources: Resources, styles: Source, image: str) -> None:
        from styleid_ray.batch.stages.device import Device
        from styleid_ray.batch.stages.engine import load_pipeline

        began = time.perf_counter()
        checkpoint, self.config = model_of(config)
        self.styles, self.image = styles, image
        self.device = Device(load_pipeline(self.config, checkpoint.revision, resources), began)
        self.device.watch(60 * config.stall_minutes)
        self.style = lru_cache(_STYLES_KEPT)(self._style)

    def __call__(self, batch: pa.Table) -> pa.Table:
        check_columns(batch.column_names, self.image)
        config, keys = self.config, self.styles.keys
        cells = [_unwrapped(cell.as_py()) for cell in batch[self.image]]
        hashes = [hashlib.blake2b(_identity(cell), digest_size=16).hexdigest() for cell in cells]
        drawn = draw_styles(hashes, len(keys), config.styles_per_content, config.seed)
        recipes = [
            Recipe(str(row), (keys[at],)) for row, of_row in enumerate(drawn) for at in of_row
        ]
        styles = {keys[at] for at in drawn.flat}
        with ThreadPoolExecutor(_READERS) as readers:
            contents = readers.map(lambda x: self._row(x, config.working_size, "content"), cells)
            read = zip(styles, readers.map(self.style, styles), strict=True)
            pictures = {("content", str(row)): picture for row, picture in enumerate(contents)}
            pictures |= {("style", key): picture for key, picture in read}
        stylized, errors = self._stylize(recipes, pictures)
        values = [
            ArrowVariableShapedTensorArray.from_numpy(stylized),
            pa.array([recipe.styles[0] for recipe in recipes], pa.string()),
            pa.array(errors, pa.string()),
        ]
        table = batch.take(pa.array([int(recipe.content) for recipe in recipes], pa.int64()))
        for name, value in zip(NEW, values, strict=True):
            table = table.append_column(name, value)
        return table

    def _stylize(
        self, recipes: Sequence[Recipe], pictures: Mapping[tuple[str, str], dict[str, Any]]
    ) -> tuple[list[np.ndarray], list[str | None]]:
        """Results and errors of pairs, from the rows of `_row` by role and key."""
        from styleid_ray.batch.stages.pairs import pairs_of
        from styleid_ray.engine.autoencoder import NOT_FINITE

        stylized = [np.zeros((0, 0, 3), np.uint8) for _ in recipes]
        failures = [[pictures[x].get("message") for x in recipe.pictures] for recipe in recipes]
        errors: list[str | None] = [next(filter(None, messages), None) for messages in failures]
        good = [at for at, error in enumerate(errors) if error is None]
        if not good:
            return stylized, errors
        params = [self.config.style_params] * len(good)
        work = self.device.stylize(pairs_of([recipes[at] for at in good], params, pictures))
        for pair, pixels in work:
            at = good[pair]
            if pixels is None:
                errors[at] = NOT_FINITE
                continue
            width, height = pictures["content", recipes[at].content]["size"]
            picture = restore(Image.fromarray(pixels), width, height, self.config.fit)
            stylized[at] = np.array(picture)
        return stylized, errors

    def _style(self, key: str) -> dict[str, Any]:
        return self._row(self.styles.url(key), self.config.style_size, f"style {key}")

    def _row(self, cell: Any, size: int, name: str) -> dict[str, Any]:
        """A picture for `pairs_of`, with its own `size`; or the `message` of its failure."""
        try:
            picture = _picture(cell, self.config)
            fitted = fit_picture(picture, size, self.config.fit, self.device.pipe.factor)
        except RowError as e:
            return columns(e, name)
        sides = {"width": fitted.width, "height": fitted.height}
        return {"pixels": fitted.tobytes(), "size": picture.size, **sides}


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
