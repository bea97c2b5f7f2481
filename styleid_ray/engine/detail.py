"""The detail of a content that its autoencoder loses."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""


def lost_detail(picture: Tensor, reconstruction: Tensor, luminance: bool) -> Tensor:
    """picture − reconstruction, [3, H, W] in [-2, 2], or its luminance alone in all channels.

    Args:
        picture, reconstruction: [3, H, W] in [-1, 1].
    """
    lost = picture - reconstruction.clamp(-1, 1)
    if luminance:
        grey = (lost * lost.new_tensor(_LUMINANCE)[:, None, None]).sum(0, keepdim=True)
        lost = grey.expand(3, -1, -1)
    return lost.to(torch.float16)
