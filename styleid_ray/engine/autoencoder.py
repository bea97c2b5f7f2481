"""Pictures to latents and back, through a diffusers autoencoder."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from styleid_ray.engine.memory import Memory
from styleid_ray.engine.windows import blend, cut
from styleid_ray.errors import ConfigError
from styleid_ray.model.description import vae_levels
from styleid_ray.model.windows import Windows

Decoded = Callable[[Sequence[int], Tensor, Tensor], None]
"""(which latents, their pictures uint8 [B, H, W, 3], whether each is finite [B])."""
NOT_FINITE = "the model gave values that are no numbers; try --dtype bfloat16 or float32"


class Autoencoder:
    """A diffusers autoencoder that works in batches that fit the memory.

    Args:
        vae: the model.
        memory: of the pipeline.
        tile: most pixels per side in one call: larger pictures are cut into overlapping tiles of
            this size, whose results are blended. None is the whole picture.

    Raises:
        ConfigError: `tile` is no multiple of `factor`.
    """

    def __init__(self, vae: Any, memory: Memory, tile: int | None = None) -> None:
        self.vae, self.memory = vae, memory
        if tile and vae and tile % self.factor:
            raise ConfigError(
                f"--vae-tile {tile}: this autoencoder needs a multiple of {self.factor}"
            )
        self.tile = tile // self.factor if tile and vae else None
        """Latent positions per side of a tile."""
        self.batches = 0
        """Batches done so far."""

    @property
    def factor(self) -> int:
        """Pixels per side of a latent position."""
        return vae_factor(self.vae)

    def encode(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Clean latents, each float32 [C, h, w], of pictures, uint8 [H, W, 3]."""
        latents: dict[int, Tensor] = {}

        def work(rows: list[int], pixels: Tensor) -> None:
            z = encode(self.vae, from_pixels(pixels.to(self.memory.device)), self.tile)
            latents.update(zip(rows, z[: len(rows)], strict=True))

        sizes = [(x.shape[0] // self.factor, x.shape[1] // self.factor) for x in pictures]
        self._run(pictures, sizes, work)
        return [latents[i] for i in range(len(pictures))]

    def decode(
        self,
        latents: Sequence[Tensor] | Tensor,
        take: Decoded,
        finish: Callable[[int, Tensor], Tensor] | None = None,
    ) -> None:
        """Decodes clean latents, each [C, h, w], and hands over each batch while it is on the
        device, without waiting for it. `finish(i, x)` replaces picture i, x, by another, both
        float32 [3, H, W]."""

        def work(rows: list[int], z: Tensor) -> None:
            z, x = z[: len(rows)], decode(self.vae, z, self.tile)[: len(rows)]
            if finish:
                x = torch.stack([finish(i, one) for i, one in zip(rows, x, strict=True)])
            finite = z.isfinite().flatten(1).all(1) & x.isfinite().flatten(1).all(1)
            take(rows, quantised(x), finite)

        self._run(latents, [(z.shape[1], z.shape[2]) for z in latents], work)

    def reconstruct(self, latents: Sequence[Tensor]) -> list[Tensor]:
        """Decoded latents, each float16 [3, H, W], in host memory."""
        made: dict[int, Tensor] = {}

        def work(rows: list[int], z: Tensor) -> None:
            x = decode(self.vae, z, self.tile)[: len(rows)]
            made.update(zip(rows, x.half().cpu(), strict=True))

        self._run(latents, [(z.shape[1], z.shape[2]) for z in latents], work)
        return [made[i] for i in range(len(latents))]

    def _run(
        self,
        inputs: Sequence[Tensor] | Tensor,
        sizes: Sequence[tuple[int, int]],
        work: Callable[[list[int], Tensor], None],
    ) -> None:
        """Calls `work` with rows of one latent size (h, w) and their inputs as a batch, which may
        be filled up with copies of the last row."""
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for row, size in enumerate(sizes):
            groups[size].append(row)
        for size, rows in groups.items():

            def batch(rows: list[int], size: tuple[int, int] = size) -> None:
                fill = max(0, self.memory.batches.fill(size, "vae") - len(rows))
                work(rows, torch.stack([inputs[i] for i in rows + rows[-1:] * fill]))
                self.batches += 1

            self.memory.run(rows, size, "vae", batch)


def encode(vae: Any, pictures: Tensor, tile: int | None = None) -> Tensor:
    """Latents [B, C, h, w] in float32 of pictures [B, 3, H, W] in [-1, 1].

    They are the mode of the posterior, not a draw from it, times the autoencoder's scaling factor.
    `tile`: latent positions per side of a tile.
    """
    factor = vae_factor(vae)
    windows = Windows.over([side // factor for side in pictures.shape[-2:]], tile)
    parts = cut(_scaled(windows, factor), pictures)
    return blend(windows, [_encode(vae, part) for part in parts])


def decode(vae: Any, z: Tensor, tile: int | None = None) -> Tensor:
    """Pictures [B, 3, H, W], float32, of latents [B, C, h, w]; values beyond [-1, 1] are black or
    white, or not finite. `tile`: latent positions per side of a tile."""
    windows = Windows.over(z.shape, tile)
    parts = [_decode(vae, part) for part in cut(windows, z)]
    return blend(_scaled(windows, vae_factor(vae)), parts)


def vae_factor(vae: Any) -> int:
    """Pixels per side of a latent position."""
    return 2 ** (vae_levels(vae.config) - 1)


def _scaled(windows: Windows, factor: int) -> Windows:
    """The pixels of windows of latent positions."""
    tops, lefts = (tuple(factor * at for at in side) for side in (windows.tops, windows.lefts))
    return Windows(factor * windows.height, factor * windows.width, tops, lefts)


def _encode(vae: Any, pictures: Tensor) -> Tensor:
    out = vae.encode(pictures.to(vae.dtype))
    z = out.latent_dist.mode() if hasattr(out, "latent_dist") else out.latents
    return (z.float() - _shift(vae)) * vae.config.scaling_factor


def _decode(vae: Any, z: Tensor) -> Tensor:
    z = z / vae.config.scaling_factor + _shift(vae)
    return vae.decode(z.to(vae.dtype), return_dict=False)[0].float()


def _shift(vae: Any) -> float:
    return getattr(vae.config, "shift_factor", None) or 0.0


def from_pixels(pixels: Tensor) -> Tensor:
    """[B, 3, H, W] in [-1, 1] of uint8 [B, H, W, 3], on the same device."""
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def quantised(pictures: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] of pictures [B, 3, H, W], clamped to [-1, 1]."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
