"""CFSD, content feature structural distance (Chung et al. 2024, section 5.1): the change of the
similarities between a picture's patches."""

from __future__ import annotations

import torch
from torch import Tensor

from styleid_ray.evaluation.networks import Weights, vgg19_conv3

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_PATCHES = 2**16
"""Patches of the largest measured picture, of 1024 x 1024 pixels: time grows with their square."""
_BLOCK = 2**24
"""Similarities held at a time."""


def patch_features(picture: Tensor, w: Weights) -> Tensor:
    """VGG19's conv3_1 of every patch, divided by the number of channels as the authors do.

    Args:
        picture: [3, h, w] in [0, 1].
        w: of VGG19.

    Returns:
        [256, P] with P = (h // 4) * (w // 4).
    """
    mean, std = (picture.new_tensor(v).view(3, 1, 1) for v in (_MEAN, _STD))
    features = vgg19_conv3(((picture - mean) / std)[None], w)[0].flatten(1)
    return features / features.shape[0]


def cfsd(content: Tensor, stylised: Tensor) -> float:
    """The divergence KL(content || stylised) of the patches' similarities, summed over the patches:
    it grows with their number. 0 for equal pictures.

    Args:
        content, stylised: `patch_features` [256, P] of pictures of one size.
    """
    total = torch.zeros((), dtype=torch.float64)
    patches = content.shape[1]
    rows = max(1, _BLOCK // patches)
    for start in range(0, patches, rows):
        log_p, log_q = (
            torch.log_softmax(x[:, start : start + rows].T @ x, 1) for x in (content, stylised)
        )
        total += (log_p.exp() * (log_p - log_q)).sum(dtype=torch.float64).cpu()
    return total.item()
