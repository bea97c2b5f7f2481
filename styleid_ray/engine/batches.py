"""The batch sizes of a pipeline's models: as requested, measured, or by the free memory."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch

from styleid_ray.engine import cuda
from styleid_ray.model.budget import GPU_POSITIONS, SLACK, VAE_SHARE, rows_that_fit
from styleid_ray.model.description import vae_levels
from styleid_ray.model.peak import stored_config, unet_peak, vae_peak
from styleid_ray.model.windows import Windows

_CPU_BATCH = 8
Model = Literal["unet", "vae"]
RowBytes = Callable[[int, int], int]
"""Bytes that a call of a model takes for one latent of a height and width, or for its picture."""


class Batches:
    """Most rows in one call of each model.

    Args:
        device: where the models compute.
        size: most latents in one UNet call, and a quarter as many pictures in one autoencoder call,
            or "auto".
        free: gives the bytes of a GPU that are free or held by inversions.
        row_bytes: of the models whose memory is counted on a GPU.
        window: most latent positions per side that the UNet sees at once; None for all.
    """

    def __init__(
        self,
        device: torch.device,
        size: int | Literal["auto"],
        free: Callable[[], int],
        row_bytes: Mapping[Model, RowBytes],
        window: int | None,
    ) -> None:
        self.device, self.size = device, size
        self.measured: dict[tuple[int, int], int] = {}
        """Best UNet batch by height and width of latents, if measured."""
        self.halvings: Counter[Model] = Counter()
        self.full = False
        """Whether batches are filled up: a compiled model is recompiled for each size."""
        self._free, self._row_bytes, self._window = free, row_bytes, window
        self._fitting: dict[tuple[Model, int, int], int] = {}

    def most(self, shape: Sequence[int], model: Model = "unet") -> int:
        """Most latents of shape [C, h, w] in one call of a model."""
        height, width = shape[-2:]
        rows = self._unet_rows(height, width)
        if model == "vae":
            rows = min(rows // VAE_SHARE, self._rows_that_fit("vae", height, width))
        return max(1, rows >> self.halvings[model])

    def fill(self, shape: Sequence[int], model: Model = "unet") -> int:
        """Rows to fill a batch up to; 0 to leave it as it is."""
        return self.most(shape, model) if self.full else 0

    def halve(self, rows: int, shape: Sequence[int], model: Model) -> None:
        """Halve the batch of latents of this shape until it has fewer rows than `rows`, which are
        at least 2."""
        self.halvings[model] += 1
        while self.most(shape, model) >= rows:
            self.halvings[model] += 1

    def _unet_rows(self, height: int, width: int) -> int:
        """Latents of a UNet call before any halving."""
        if isinstance(self.size, int):
            return self.size
        if not cuda.is_cuda(self.device):
            return _CPU_BATCH
        seen = Windows.over((height, width), self._window)
        if measured := self.measured.get((seen.height, seen.width)):
            return measured
        positions = GPU_POSITIONS // (seen.height * seen.width)
        return min(positions, self._rows_that_fit("unet", height, width))

    def _rows_that_fit(self, model: Model, height: int, width: int) -> int:
        """Rows that fit a GPU's memory beside inversions, by its free memory at the first call for
        latents of this size; unbounded where no bytes are counted."""
        if model not in self._row_bytes or not cuda.is_cuda(self.device):
            return GPU_POSITIONS
        key = model, height, width
        if key not in self._fitting:
            row = self._row_bytes[model](height, width)
            self._fitting[key] = rows_that_fit(self._free(), row)
        return self._fitting[key]


def row_bytes(
    unet: Any = None, window: int | None = None, vae: Any = None, vae_tile: int | None = None
) -> dict[Model, RowBytes]:
    """What a call of each model takes.

    Args:
        unet, vae: the models; None if there is none.
        window: most latent positions per side that the UNet sees at once; None for all.
        vae_tile: most pixels per side in a call of the autoencoder; None for all.
    """
    counted: dict[Model, RowBytes] = {}
    if unet:
        counted["unet"] = _unet_row_bytes(unet, window)
    if vae:
        tile = vae_tile and vae_tile // 2 ** (vae_levels(vae.config) - 1)
        counted["vae"] = lambda *size: round(
            SLACK * vae_peak(stored_config(vae), size, _dtype(vae), tile)
        )
    return counted


def _unet_row_bytes(unet: Any, window: int | None) -> RowBytes:
    """Its memory for one window, and at most as much for each window's features."""
    per_position = 0.0

    def count(height: int, width: int) -> int:
        nonlocal per_position
        windows = Windows.over((height, width), window)
        positions = windows.height * windows.width
        if not per_position:  # proportional to the area; counting takes a second
            config = stored_config(unet)
            peak = unet_peak(config, windows.height, windows.width, _dtype(unet))
            per_position = peak / positions
        return round(SLACK * (1 + len(windows)) * per_position * positions)

    return count


def _dtype(part: Any) -> str:
    return str(part.dtype).removeprefix("torch.")
