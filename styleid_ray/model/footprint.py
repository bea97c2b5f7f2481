"""The memory of an inverted picture, by arithmetic on the model's description."""

from dataclasses import dataclass

from styleid_ray.config import ResolvedParams
from styleid_ray.model.description import ModelDescription
from styleid_ray.model.windows import Windows

_ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_SCALE_BYTES = 2


@dataclass(frozen=True)
class PictureMemory:
    """Bytes that one inverted picture takes."""

    content: int
    """Features of a content: queries at each injected layer and step."""
    style: int
    """Features of a style: keys and values."""


def picture_memory(
    model: ModelDescription,
    latent: tuple[int, int],
    params: ResolvedParams,
    dtype: str,
    tile: int | None = None,
) -> PictureMemory:
    """Memory of one picture.

    A layer with c channels and n tokens has n·c numbers each in Q, K and V, at each step and in
    each window. In int8, each token of each head also has a float16 scale.

    Args:
        model: its description.
        latent: height and width of the latent.
        params: layers and steps.
        dtype: precision of the features; not "auto".
        tile: most latent positions per side that the UNet sees at once.
    """
    windows = Windows.over(latent, tile)
    window, step = (windows.height, windows.width), 0
    for layer in params.layers if params.inject else ():
        site = model.sites[layer]
        step += site.tokens(window) * site.channels * _ITEM_BYTES[dtype]
        step += site.tokens(window) * site.heads * _SCALE_BYTES if dtype == "int8" else 0
    features = step * params.steps * len(windows)
    return PictureMemory(features, 2 * features)
