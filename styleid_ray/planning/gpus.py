"""The fit on GPUs of the usual sizes: the batch, the place of features, the autoencoder's tiles.

The engine decides by the memory that it finds free; here the same rules are applied to the
counted demand of a job. Nothing is measured on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from styleid_ray.model.budget import RESERVED, room_for_inversions

GPUS = (8, 12, 16, 24, 40, 80)
"""Memory of GPUs in GB of 10^9 bytes: a part of the nominal 2^30 is not usable."""
TILES = (512, 256)
"""Values of --vae-tile that are recommended, in pixels."""
_GRID = 64
"""Sizes are recommended in multiples of it."""
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
    """The same by the sides of tiles that are smaller than the picture."""
    features: int
    """Bytes of the inversions held at a time so that no picture is inverted twice."""
    int8: int
    """The same with --feature-dtype int8."""
    pictures: int
    """Bytes of the decoded pictures of a shard, in host memory."""

    def at(self, size: int) -> Demand:
        """The same job at another size, about: all but weights and tiles go by the area."""
        area = (size / self.size) ** 2
        names = ("evaluation", "recorded", "streamed", "vae", "features", "int8", "pictures")
        scaled = {name: round(area * getattr(self, name)) for name in names}
        return replace(self, size=size, **scaled)


@dataclass(frozen=True)
class GpuFit:
    """The part of a job that a GPU holds."""

    gb: int
    """Its memory in GB."""
    batch: int
    """Latents in a UNet call; 0 where not even one fits."""
    features: Store | None
    """Where features are kept."""
    device: int
    """Bytes that are taken on the device."""
    host: int
    """Bytes that are taken in host memory: features, and the pictures of a shard."""
    vae_tile: int | None
    """The --vae-tile that it takes; None for whole pictures."""
    int8: Store | None
    """Where features would be kept with --feature-dtype int8; None where that is the job's."""
    int8_host: int | None
    """Bytes that would be taken in host memory then."""
    again: bool
    """Whether features are kept on the device though they do not fit there, so that pictures are
    inverted several times."""
    size: int | None
    """Where the job does not fit: the largest --size that does, with `vae_tile`."""

    def as_text(self) -> str:
        """The same in words."""
        tile = f"--vae-tile {self.vae_tile}" if self.vae_tile else ""
        if not self.batch:
            if not self.size:
                return "the model does not fit"
            return f"too small: --size {self.size}{' with ' * bool(tile)}{tile} fits"
        words = [f"batch {self.batch}", self._features(), *([f"needs {tile}"] if tile else [])]
        return ", ".join(words)

    def _features(self) -> str:
        if self.again:
            return "a part of the features on the device (pictures are inverted again)"
        if self.features == "device":
            return "features on the device"
        words = f"features on the host ({_gib(self.host)}"
        if self.int8 == "device":
            words += "; on the device with --feature-dtype int8"
        elif self.int8_host is not None:
            words += f", or {_gib(self.int8_host)} with --feature-dtype int8"
        return words + ")"


def gpu_fits(
    demand: Demand,
    batch: int,
    store: Store | None = None,
    share: float = 1.0,
    limit: int | None = None,
) -> list[GpuFit]:
    """The part of a job that each of `GPUS` holds.

    Args:
        demand: what the job takes.
        batch: most latents in a UNet call.
        store: where features are kept, if the job says so.
        share: part of a GPU that is one actor's, in (0, 1].
        limit: bytes that features may take, if the job says so.
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

    def place(features: int) -> Store:
        room = room_for_inversions(free, rows * demand.evaluation)
        fits = features <= (room if limit is None else min(limit, room))
        return store or ("device" if fits and features + vae <= free else "host")

    features, changed = place(demand.features), place(demand.int8)
    on_device = min(demand.features, max(0, free - work))
    extra = on_device if features == "device" else rows * demand.streamed
    same = demand.int8 >= demand.features
    return GpuFit(
        gb=gb,
        batch=rows,
        features=features,
        device=demand.weights + work + extra,
        host=demand.pictures + demand.features * (features == "host"),
        vae_tile=tile or None,
        int8=None if same else changed,
        int8_host=None if same else demand.pictures + demand.int8 * (changed == "host"),
        again=features == "device" and demand.features > on_device,
        size=None,
    )


def _tile(demand: Demand, free: int) -> int | None:
    """The largest tile that there is room for; 0 for the whole picture, None for none."""
    sizes = {0: demand.vae, **demand.tiled}
    return next((tile for tile, taken in sizes.items() if taken <= free), None)


def _rows(demand: Demand, free: int, batch: int) -> int:
    """The largest batch, halved where there is no room for it, that leaves room for what is
    streamed."""
    while batch and batch * (demand.evaluation + demand.recorded + demand.streamed) > free:
        batch //= 2
    return batch


def _smaller(demand: Demand, gb: int, free: int) -> GpuFit:
    """A GPU on which the job does not fit, and the largest size that does."""

    def fitting() -> Iterator[tuple[int, int]]:
        for size in range(demand.size // _GRID * _GRID, 0, -_GRID):
            smaller = demand.at(size)
            tile = _tile(smaller, free)
            if size < demand.size and tile is not None and _rows(smaller, free, 1):
                yield size, tile

    size, tile = next(fitting(), (None, None))
    return GpuFit(
        gb=gb,
        batch=0,
        features=None,
        device=0,
        host=0,
        vae_tile=tile if tile and size and tile < size else None,
        int8=None,
        int8_host=None,
        again=False,
        size=size,
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
