"""The last touch on decoded pictures: parts that masks protect, and detail that the autoencoder
loses."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from styleid_ray.config import ResolvedParams
from styleid_ray.engine.autoencoder import from_pixels
from styleid_ray.quality.pixels import LUMINANCE


@dataclass(frozen=True)
class Finish:
    """Adds a content's share to its stylised pictures.

    Args:
        params: the share of the lost detail to add, and whether to add its luminance alone.
        pixels: of the contents, uint8 [H, W, 3].
        reconstructions: the contents encoded and decoded, [3, H, W] in about [-1, 1].
        masks: strength per content, uint8 [H, W], or None for full strength everywhere.
    """

    params: ResolvedParams
    pixels: Sequence[Tensor]
    reconstructions: Sequence[Tensor]
    masks: Sequence[Tensor] | None

    def __call__(self, contents: Sequence[int], row: int, x: Tensor) -> Tensor:
        """The stylised picture x [3, H, W] of content `contents[row]`, finished.

        Where the strength is 0 this is the content's own reconstruction, without what the decoder
        carries over from the rest of the picture; where it is 1 it is x. Then the lost detail,
        content − reconstruction, is added.
        """
        i = contents[row]
        reconstruction = self.reconstructions[i].to(x).clamp(-1, 1)
        if self.masks is not None:
            x = torch.lerp(reconstruction, x, self.masks[i].to(x.device).float() / 255)
        if self.params.detail:
            lost = from_pixels(self.pixels[i][None].to(x.device))[0] - reconstruction
            if self.params.detail_luminance:
                weights = lost.new_tensor(LUMINANCE)[:, None, None]
                lost = (lost * weights).sum(0, keepdim=True)
            x = x + self.params.detail * lost
        return x
