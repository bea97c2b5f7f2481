"""Methods to compare StyleID with, behind the interface that jobs use (`stylizer.Stylizer`)."""

from collections.abc import Sequence
from typing import Any, Literal

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


class Baseline:
    """A transfer of colours, on the CPU and without a model; or AdaIN of the clean latents of
    content and style ("latent-adain"), decoded.

    Args:
        method: "adain", "reinhard", "mkl" or "latent-adain".
        vae: diffusers autoencoder; only "latent-adain" needs it.
        factor: pixels; the sides of a picture must be multiples of it.
        batch_size, host_share, device_share, vae_tile: as in `StyleIDPipeline`.
    """

    unet_evaluations = 0

    def __init__(
        self,
        method: Method,
        vae: Any = None,
        factor: int = 1,
        batch_size: int | Literal["auto"] = "auto",
        host_share: float = 1.0,
        device_share: float = 1.0,
        vae_tile: int | None = None,
    ) -> None:
        self.method: Method = method
        self.factor = factor
        self.device = vae.device if vae else torch.device("cpu")
        shares, models = (host_share, device_share), {"vae": vae, "vae_tile": vae_tile}
        self.memory = Memory(self.device, batch_size, "auto", None, *shares, **models)
        self.notes = self.memory.notes
        """Decisions of interest to a user, in words."""
        self.autoencoder = Autoencoder(vae, self.memory, vae_tile)
        self.made = 0
        """Pictures made without the autoencoder."""

    @property
    def steps(self) -> int:
        """A number that grows with each piece of work given to the device."""
        return self.made + self.autoencoder.batches

    @property
    def counts(self) -> Counts:
        """Work so far."""
        return Counts(batch_halvings=self.memory.batches.halvings.total())

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
        """Makes the picture of each pair.

        Args:
            contents, styles: uint8 [H, W, 3].
            pairs, take: as in `StyleIDPipeline.stylize`.
            params: of StyleID; ignored.
            options: the others of `StyleIDPipeline.stylize`. No structure is reported, since there
                are no features.

        Raises:
            ConfigError: a pair has several styles or a mask.
        """
        index = _single(self.method, pairs, contents, styles, options)
        if self.method == "latent-adain":
            z_c, z_s = map(self._encoded, (contents, styles))
            self.autoencoder.decode([adain(z_c[i], z_s[j]).float() for i, j in index], take)
            return
        for row, (i, j) in enumerate(index):
            x = TRANSFERS[self.method](_unit(contents[i]), _unit(styles[j]))
            take([row], quantised(2 * x[None] - 1), x.isfinite().all().reshape(1))
            self.made += 1

    def _encoded(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """Clean latents in float64."""
        return [z.double() for z in self.autoencoder.encode(pictures)]


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
