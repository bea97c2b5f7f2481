"""How a job fits GPUs of the usual sizes: batch, place of features, tiles of the autoencoder.

The engine decides by free memory; here the same rules are applied to a job's counted demand.
Nothing is measured on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from styleid_ray.model.budget import RESERVED, room_for_inversions

GPUS = (8, 12, 16, 24, 40, 80)
"""Memory of GPUs in GB of 10^9 bytes: a part of the nominal 2^30 is not usable."""
TILES = (512, 256)
"""Recommended values of --vae-tile, in pixels."""
_GRID = 64
"""Recommended sizes are multiples of it."""
Store = Literal["device", "host"]


@dataclass(frozen=True)
class Demand:
    """Bytes that a job takes at its size."""

    size: int
    """Working size in pixels."""
    weights: int
    """Bytes of the model's UNet and autoencoder."""
    evaluation: int
    """Bytes of one UNet evaluation of one latent."""
    recorded: int
    """Bytes of the features that an evaluation reads or writes."""
    streamed: int
    """Bytes of two steps of a pair's features, on the device with --features host."""
    vae: int
    """Bytes of the autoencoder for one picture."""
    tiled: Mapping[int, int]
    """Bytes of the autoencoder by the side of tiles that are smaller than the picture."""
    features: int
    """Bytes of the inversions held at a time so that no picture is inverted twice."""
    pictures: int
    """Bytes of the decoded pictures of a shard, in host memory."""

    def at(self, size: int) -> Demand:
        """The same job at another size, about: all but weights and tiles scale with the area."""
        area = (size / self.size) ** 2
        names = ("evaluation", "recorded", "streamed", "vae", "features", "pictures")
        scaled = {name: round(area * getattr(self, name)) for name in names}
        return replace(self, size=size, **scaled)


@dataclass(frozen=True)
class GpuFit:
    """How a job fits a GPU."""

    gb: int
    """Memory of the GPU in GB."""
    batch: int
    """Latents in a UNet call; 0 where not even one fits."""
    features: Store | None = None
    """Place of the features."""
    device: int = 0
    """Bytes taken on the device."""
    host: int = 0
    """Bytes taken in host memory: features, and the pictures of a shard."""
    vae_tile: int | None = None
    """The --vae-tile needed; None for whole pictures."""
    again: bool = False
    """Whether only some features fit on the device, so that pictures are inverted more than
    once."""
    size: int | None = None
    """If the job does not fit: the largest --size that does, with `vae_tile`."""

    def as_text(self) -> str:
        """The fit in words."""
        tile = f"--vae-tile {self.vae_tile}" if self.vae_tile else ""
        if not self.batch:
            if not self.size:
                return "the model does not fit"
            return f"too small: --size {self.size}{' with ' * bool(tile)}{tile} fits"
        words = [f"batch {self.batch}", self._features(), *([f"needs {tile}"] if tile else [])]
        return ", ".join(words)

    def _features(self) -> str:
        if self.again:
            return "some features on the device (pictures are inverted more than once)"
        if self.features == "device":
            return "features on the device"
        return f"features on the host ({self.host / 2**30:,.1f} GiB)"


def gpu_fits(
    demand: Demand,
    batch: int,
    store: Store | None = None,
    share: float = 1.0,
    limit: int | None = None,
) -> list[GpuFit]:
    """How a job fits each of `GPUS`.

    Args:
        demand: of the job.
        batch: most latents in a UNet call.
        store: place of features, if the job sets it.
        share: one actor's part of a GPU, in (0, 1].
        limit: most bytes of features, if the job sets it.
    """
    rooms = {gb: int(share * gb * 10**9) - RESERVED for gb in GPUS}
    return [_fit(demand, gb, room, batch, store, limit) for gb, room in rooms.items()]


def _fit(
    demand: Demand, gb: int, room: int, batch: int, store: Store | None, limit: int | None
) -> GpuFit:
    free = room - demand.weights
    tile, rows = _tile(demand, free), _rows(demand, free, batch)
    if tile is None or not rows:
        return _smaller(demand, gb, free)
    vae = demand.tiled[tile] if tile else demand.vae
    work = max(rows * (demand.evaluation + demand.recorded), vae)
    inversions = room_for_inversions(free, rows * demand.evaluation)
    most = min(inversions if limit is None else min(limit, inversions), free - vae)
    features = store or ("device" if demand.features <= most else "host")
    on_device = min(demand.features, max(0, free - work))
    extra = on_device if features == "device" else rows * demand.streamed
    return GpuFit(
        gb=gb,
        batch=rows,
        features=features,
        device=demand.weights + work + extra,
        host=demand.pictures + demand.features * (features == "host"),
        vae_tile=tile or None,
        again=features == "device" and demand.features > on_device,
    )


def _tile(demand: Demand, free: int) -> int | None:
    """The largest tile that fits; 0 for the whole picture, None if none fits."""
    sizes = {0: demand.vae, **demand.tiled}
    return next((tile for tile, taken in sizes.items() if taken <= free), None)


def _rows(demand: Demand, free: int, batch: int) -> int:
    """The batch, halved until it fits beside the streamed features."""
    while batch and batch * (demand.evaluation + demand.recorded + demand.streamed) > free:
        batch //= 2
    return batch


def _smaller(demand: Demand, gb: int, free: int) -> GpuFit:
    """The fit of a GPU that is too small: the largest size that fits."""
    for size in range((demand.size - 1) // _GRID * _GRID, 0, -_GRID):
        smaller = demand.at(size)
        tile = _tile(smaller, free)
        if tile is not None and _rows(smaller, free, 1):
            return GpuFit(gb, 0, vae_tile=tile if 0 < tile < size else None, size=size)
    return GpuFit(gb, 0)
