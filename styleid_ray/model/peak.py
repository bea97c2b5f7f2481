"""Memory that a model takes while it computes, counted on parts without weights.

A forward on the meta device computes shapes alone. Each storage that an operation makes counts
until it is freed; the peak is the most at a time, as PyTorch's allocator sees it. Attention keeps
no matrix of all tokens by all tokens, as in PyTorch's own kernels. The work space inside
convolutions and an allocator's fragments are left out (`budget.SLACK`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from styleid_ray.model.blank import blank, evaluate, text_of
from styleid_ray.model.description import describe, vae_channels, vae_levels
from styleid_ray.model.windows import Windows

_PIXEL_BYTES = 3 * 4
"""Bytes of a pixel in float32, as it enters and leaves the autoencoder."""


@dataclass(frozen=True)
class ModelPeaks:
    """Bytes that a model takes on a device."""

    weights: int
    """Bytes of UNet and autoencoder."""
    unet: int
    """Peak memory of one UNet evaluation of one latent besides weights."""
    vae: int
    """Peak memory of the autoencoder for one picture besides weights."""


def model_peaks(
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    latent: tuple[int, int],
    dtype: str,
    tile: int | None = None,
    vae_tile: int | None = None,
) -> ModelPeaks:
    """Memory of a model at a size.

    Args:
        unet, vae: configurations as diffusers stores them.
        latent: height and width of the latent.
        dtype: precision of the model, not "auto"; the autoencoder is in float32 where the loader
            upcasts it.
        tile, vae_tile: most latent positions per side in a call of the UNet and of the autoencoder;
            None for all.
    """
    model, window = describe(unet, vae), Windows.over(latent, tile)
    upcast = dtype == "float16" and model.upcast_vae
    precision = "float32" if upcast else dtype
    return ModelPeaks(
        weights=weight_bytes(unet, dtype) + weight_bytes(vae, precision),
        unet=unet_peak(unet, window.height, window.width, dtype),
        vae=vae_peak(vae, latent, precision, vae_tile),
    )


def stored_config(part: Any) -> dict[str, Any]:
    """The configuration of a part in memory, as diffusers would store it."""
    kinds = (kind.__name__ for kind in type(part).__mro__ if "diffusers." in kind.__module__)
    options = {name: x for name, x in part.config.items() if not name.startswith("_")}
    return {**options, "_class_name": next(kinds)}


def weight_bytes(part: Mapping[str, Any], dtype: str) -> int:
    """Bytes of the weights of a part, in a precision."""
    return sum(x.nbytes for x in blank(text_of(part), dtype).state_dict().values())


def unet_peak(unet: Mapping[str, Any], height: int, width: int, dtype: str, batch: int = 1) -> int:
    """Peak memory in bytes of one UNet call for a batch of latents of a height and width, its input
    and output included."""
    return _unet_peak(text_of(unet), height, width, dtype, batch)


def vae_peak(
    vae: Mapping[str, Any], latent: tuple[int, int], dtype: str, tile: int | None = None
) -> int:
    """Peak memory in bytes of encoding or decoding one picture, the picture in float32 included.

    Args:
        vae: configuration.
        latent: height and width of the latent.
        dtype: name of PyTorch's type.
        tile: most latent positions per side in a call; None for all.
    """
    factor, channels = 2 ** (vae_levels(vae) - 1), vae_channels(vae)
    part = Windows.over(latent, tile)
    pixels = (1, vae.get("in_channels", 3), factor * part.height, factor * part.width)
    calls = ("encode", pixels), ("decode", (1, channels, part.height, part.width))
    peak = max(_vae_peak(text_of(vae), *call, dtype) for call in calls)
    # With several tiles: all results, their blend and its weights.
    return peak + _PIXEL_BYTES * factor**2 * latent[0] * latent[1] * (4 if len(part) > 1 else 1)


@lru_cache
def _unet_peak(unet: str, height: int, width: int, dtype: str, batch: int) -> int:
    blank(unet, dtype)  # its weights are made before anything counts
    return peak_bytes(lambda: evaluate(unet, height, width, dtype, batch))


@lru_cache
def _vae_peak(vae: str, method: str, shape: tuple[int, ...], dtype: str) -> int:
    import torch

    call = getattr(blank(vae, dtype), method)
    numbers: dict[str, Any] = {"device": "meta", "dtype": getattr(torch, dtype)}
    return peak_bytes(lambda: call(torch.empty(shape, **numbers)))


def peak_bytes(work: Callable[[], object]) -> int:
    """Peak memory in bytes of the storages that `work` makes in one run on any device, without
    gradients; of attention, the output alone counts."""
    import torch

    from styleid_ray.model.live import Live, NoMatrix

    with torch.no_grad(), Live() as live, NoMatrix():
        work()
    return live.peak
