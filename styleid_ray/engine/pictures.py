"""Pictures as a caller gives and takes them: files, Pillow pictures, arrays or tensors."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from styleid_ray.config import JobConfig
from styleid_ray.engine.autoencoder import NOT_FINITE
from styleid_ray.errors import ConfigError, RowError
from styleid_ray.imaging import decode
from styleid_ray.imaging.decode import upright
from styleid_ray.imaging.modes import to_rgb
from styleid_ray.model.description import ModelDescription
from styleid_ray.storage.locations import shown

PictureLike = Image.Image | Tensor | np.ndarray | str | os.PathLike[str]
_MAX_PIXELS = JobConfig.model_fields["max_pixels"].default


def check_list(pictures: Sequence[PictureLike], role: str) -> None:
    """Raises ConfigError for a single picture in place of a list of them; `role` is "contents" or
    "styles", for the message."""
    if not isinstance(pictures, Sequence | Tensor | np.ndarray) or isinstance(pictures, str):
        raise ConfigError(
            f"{role} is a single {type(pictures).__name__}: give a list, [{role.removesuffix('s')}]"
        )


def to_pixels(picture: PictureLike) -> Tensor:
    """uint8 [H, W, 3] of a picture.

    Args:
        picture: a tensor or array of that shape, a Pillow picture in any mode, or the path or URL
            of a file. Files and Pillow pictures are read as in a job: in sRGB, transparency over
            white, and rotated by their EXIF orientation (`ImageOps.exif_transpose` rotates a
            picture and removes it; `transpose` keeps it).

    Raises:
        ConfigError: it is none of these.
        RowError: stage "fetch" or "decode", for a file that cannot be read.
    """
    if isinstance(picture, str | os.PathLike):
        picture = _opened(os.fspath(picture))
    elif isinstance(picture, Image.Image):
        picture.load()
        picture = upright(picture, to_rgb(picture))
    pixels = picture if isinstance(picture, Tensor) else np.array(picture)
    kind = str(pixels.dtype).removeprefix("torch.")
    if kind != "uint8" or pixels.ndim != 3 or pixels.shape[2] != 3:
        what = f"{type(picture).__name__} ({kind}, {list(pixels.shape)})"
        raise ConfigError(f"{what} is no picture: give a path, a PIL image or uint8 [H, W, 3]")
    return pixels if isinstance(pixels, Tensor) else torch.from_numpy(pixels)


def check_sides(pixels: Sequence[Tensor], model: ModelDescription) -> None:
    """Raises ConfigError for a picture, uint8 [H, W, 3], whose sides do not fit the model."""
    for height, width, _ in (x.shape for x in pixels):
        if width % model.factor or height % model.factor:
            raise ConfigError(
                f"a picture of {width} x {height} does not fit this model, whose sides are "
                f"multiples of {model.factor}: bring it to size with styleid_ray.imaging."
                f"fit_picture(PIL.Image.open(path), {model.default_size}, 'keep', {model.factor})"
            )


class Taken(dict[int, Image.Image]):
    """Decoded pictures by their rows."""

    def take(self, rows: Sequence[int], pixels: Tensor, finite: Tensor) -> None:
        """Keep a batch, as `autoencoder.Decoded`; raises RowError where values are not finite."""
        if not bool(finite.all()):
            raise RowError("stylize", NOT_FINITE)
        self.update(zip(rows, map(Image.fromarray, pixels.cpu().numpy()), strict=True))

    def in_order(self) -> list[Image.Image]:
        """The pictures of rows 0, 1, 2 ..."""
        return [self[row] for row in range(len(self))]


def _opened(location: str) -> Image.Image:
    from styleid_ray.storage.fetch import fetch

    try:
        return decode(fetch(location).data, _MAX_PIXELS)
    except RowError as e:
        raise RowError(e.stage, f"{shown(location)}: {e}") from e
