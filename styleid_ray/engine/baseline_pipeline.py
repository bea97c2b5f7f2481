"""Methods to compare StyleID with, behind the interface that jobs use (`stylizer.Stylizer`)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from styleid_ray.config import Method
from styleid_ray.engine import cuda
from styleid_ray.engine.autoencoder import Autoencoder, Decoded, quantised
from styleid_ray.engine.baselines import TRANSFERS, adain
from styleid_ray.engine.memory import Memory
from styleid_ray.engine.pairs import Pairs, resolve_pairs
from styleid_ray.engine.stylizer import Counts
from styleid_ray.errors import ConfigError


class PixelTransfer:
    """A transfer of colours, on the CPU and without a model."""

    def __init__(self, method: Method) -> None:
        self.method: Method = method
        self.transfer = TRANSFERS[method]
        self.device = torch.device("cpu")
        self.steps = self.unet_evaluations = 0
        self.factor = 1
        self.notes: list[str] = []
        self.counts = Counts()

    def stylize(
        self,
        contents: Sequence[Tensor],
        styles: Sequence[Tensor],
        pairs: Pairs,
        params: Any,
        take: Decoded,
        **options: Any,
    ) -> None:
        """Makes the picture of each pair, one by one.

        Args:
            contents, styles: uint8 [H, W, 3].
            pairs, take: as in `StyleIDPipeline.stylize`.
            params: of StyleID; ignored.
            options: the others of `StyleIDPipeline.stylize`. No structure is reported, since there
                are no features.

        Raises:
            ConfigError: a pair has several styles or a mask.
        """
        for row, (i, j) in enumerate(_single(self.method, pairs, contents, styles, options)):
            x = self.transfer(_unit(contents[i]), _unit(styles[j]))
            finite = x.isfinite().all().reshape(1)
            take([row], quantised(2 * x[None] - 1), finite)
            self.steps += 1


class LatentAdaIN:
    """AdaIN of the clean latents of content and style, decoded.

    Args:
        vae: diffusers autoencoder.
        factor: pixels; the sides of a picture must be multiples of it.
        batch_size, host_share, device_share, vae_tile: as in `StyleIDPipeline`.
    """

    def __init__(
        self,
        vae: Any,
        factor: int,
        batch_size: Any = "auto",
        host_share: float = 1.0,
        device_share: float = 1.0,
        vae_tile: int | None = None,
    ) -> None:
        self.device, self.factor = vae.device, factor
        self.memory = Memory(self.device, batch_size, "auto", None, host_share, device_share)
        self.autoencoder = Autoencoder(vae, self.memory, vae_tile)
        self.unet_evaluations = 0

    @property
    def steps(self) -> int:
        """A number that grows with each piece of work given to the device."""
        return self.autoencoder.batches

    @property
    def notes(self) -> list[str]:
        """Decisions of interest to a user, in words."""
        return self.memory.notes

    @property
    def counts(self) -> Counts:
        """Work so far."""
        return Counts(batch_halvings=self.memory.halvings.total())

    @cuda.inference()
    def stylize(
        self,
        contents: Sequence[Tensor],
        styles: Sequence[Tensor],
        pairs: Pairs,
        params: Any,
        take: Decoded,
        **options: Any,
    ) -> None:
        """Makes the pictures, each content and style encoded once; else as in `PixelTransfer`."""
        index = _single("latent-adain", pairs, contents, styles, options)
        z_c, z_s = ([z.double() for z in self.autoencoder.encode(x)] for x in (contents, styles))
        self.autoencoder.decode([adain(z_c[i], z_s[j]).float() for i, j in index], take)


def _unit(pixels: Tensor) -> Tensor:
    """float64 [3, H, W] in [0, 1] of uint8 [H, W, 3]."""
    return pixels.cpu().permute(2, 0, 1).double() / 255


def _single(
    method: Method,
    pairs: Pairs,
    contents: Sequence[Tensor],
    styles: Sequence[Tensor],
    options: dict[str, Any],
) -> list[tuple[int, int]]:
    """(content, style) of each pair."""
    index = resolve_pairs(pairs, len(contents), len(styles))
    regional = [n for n in ("masks", "label_maps", "classes") if options.get(n) is not None]
    if regional or any(len(js) > 1 for _, js in index):
        raise ConfigError(
            f"--method {method} takes one style for a whole picture: use --method styleid"
        )
    return [(i, js[0]) for i, js in index]
