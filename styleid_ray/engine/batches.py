"""The batch sizes of a pipeline's models: as requested, measured, or by the free memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from styleid_ray.engine import cuda
from styleid_ray.model.budget import GPU_POSITIONS, SLACK, VAE_SHARE, rows_that_fit
from styleid_ray.model.description import vae_levels
from styleid_ray.model.peak import stored_config, unet_peak, vae_peak
from styleid_ray.model.windows import Windows

_CPU_BATCH = 8
Model = Literal["unet", "vae"]


class Batches:
    """Most rows in one call of each model.

    Args:
        device: where the models compute.
        size: most latents in one UNet call, and a quarter as many pictures in one autoencoder call,
            or "auto".
        free: gives the bytes of a GPU that are free or held by inversions.
        unet, vae: the models, whose memory is counted on a GPU; None if there is none.
        window: most latent positions per side that the UNet sees at once; None for all.
        vae_tile: most pixels per side in one call of the autoencoder; None for all.
    """

    def __init__(
        self,
        device: torch.device,
        size: int | Literal["auto"],
        free: Callable[[], int],
        unet: Any = None,
        vae: Any = None,
        window: int | None = None,
        vae_tile: int | None = None,
    ) -> None:
        self.device, self.size = device, size
        self.measured: dict[tuple[int, int], int] = {}
        """Best UNet batch by height and width of latents, if measured."""
        self.halvings: Counter[Model] = Counter()
        self.full = False
        """Whether batches are filled up: a compiled model is recompiled for each size."""
        self._free, self._window, self._vae_tile = free, window, vae_tile
        self._models: dict[Model, Any] = {"unet": unet, "vae": vae}
        self._position_bytes = 0.0
        """Bytes of a UNet call for one latent position."""
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
        latents of this size; unbounded without the model."""
        if self._models[model] is None or not cuda.is_cuda(self.device):
            return GPU_POSITIONS
        key = model, height, width
        if key not in self._fitting:
            count = self._unet_bytes if model == "unet" else self._vae_bytes
            self._fitting[key] = rows_that_fit(self._free(), round(SLACK * count(height, width)))
        return self._fitting[key]

    def _unet_bytes(self, height: int, width: int) -> float:
        """Bytes of a UNet call for one latent: its memory for one window, and at most as much for
        each window's features."""
        windows = Windows.over((height, width), self._window)
        positions = windows.height * windows.width
        if not self._position_bytes:  # proportional to the area; counting takes a second
            config, dtype = _counted(self._models["unet"])
            peak = unet_peak(config, windows.height, windows.width, dtype)
            self._position_bytes = peak / positions
        return (1 + len(windows)) * self._position_bytes * positions

    def _vae_bytes(self, height: int, width: int) -> float:
        """Bytes of an autoencoder's call for one latent, or for its picture."""
        config, dtype = _counted(self._models["vae"])
        tile = self._vae_tile and self._vae_tile // 2 ** (vae_levels(config) - 1)
        return vae_peak(config, (height, width), dtype, tile)


def _counted(model: Any) -> tuple[dict[str, Any], str]:
    """A model's configuration and precision."""
    return stored_config(model), str(model.dtype).removeprefix("torch.")
