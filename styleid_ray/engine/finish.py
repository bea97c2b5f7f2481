"""The last touch on decoded pictures: what masks protect, and detail that the autoencoder loses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True)
class Finish:
    """Pictures [3, H, W] in about [-1, 1] with their content's share in them."""

    detail: float
    """Share of the lost detail that is added, in [0, 1]."""
    luminance: bool
    """Whether only the luminance of the detail is."""

    def __call__(
        self, x: Tensor, content: Tensor, reconstruction: Tensor, strength: Tensor | None
    ) -> Tensor:
        """The stylised picture x, finished.

        Where the strength [H, W] is 0 this is the content's own reconstruction, decode(encode(·)),
        without what the decoder carries over from the rest of the picture; where it is 1 it is x.
        Then content − reconstruction is added.
        """
        reconstruction = reconstruction.clamp(-1, 1)
        if strength is not None:
            x = torch.lerp(reconstruction, x, strength)
        if self.detail:
            lost = content - reconstruction
            if self.luminance:
                weights = lost.new_tensor(_LUMINANCE)[:, None, None]
                lost = (lost * weights).sum(0, keepdim=True)
            x = x + self.detail * lost
        return x
