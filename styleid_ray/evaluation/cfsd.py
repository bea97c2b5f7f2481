"""CFSD, content feature structural distance (Chung et al. 2024, section 5.1): the change of the
similarities between a picture's patches."""

import torch
from torch import Tensor

from styleid_ray.evaluation.networks import Weights, vgg19_conv3

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_PATCHES = 2**16
"""Patches of the largest measured picture, of 1024 x 1024 pixels: time grows with their square."""
_BLOCK = 2**22
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

    With similarities s, t and P = softmax(s), a patch adds E_P[s - t] - (log Z_s - log Z_t). The
    sums are in float64: they are far larger than their difference.
    """
    total = torch.zeros((), dtype=torch.float64)
    patches = content.shape[1]
    rows = max(1, _BLOCK // patches)
    for start in range(0, patches, rows):
        s, t = (x[:, start : start + rows].T @ x for x in (content, stylised))
        weights, z, log_z = _exponentials(s)
        mean = (weights * (s - t)).sum(1, dtype=torch.float64) / z
        total += (mean - (log_z - _exponentials(t)[2])).sum().cpu()
    return max(total.item(), 0.0)


def _exponentials(s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(s - m) [R, P] with the rows' maxima m, its row sums, and log Z = log sum exp(s) [R]."""
    largest = s.amax(1, keepdim=True)
    weights = (s - largest).exp_()
    z = weights.sum(1, dtype=torch.float64)
    return weights, z, largest[:, 0].double() + z.log()
