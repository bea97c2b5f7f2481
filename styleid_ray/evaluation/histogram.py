"""The loss between RGB-uv histograms (Afifi et al. 2021, HistoGAN): the distance of two pictures'
colours."""

import torch
from torch import Tensor
from torch.nn import functional as F

_BINS, _SIGMA, _LARGEST, _EPSILON = 64, 0.02, 256, 1e-6


def rgb_uv_histogram(picture: Tensor) -> Tensor:
    """The histogram [3, 64, 64] of a picture, of sum 1.

    For each channel: the logarithms of its ratios to the other two, weighted by the pixel's
    brightness and spread by an inverse-quadratic kernel.

    Args:
        picture: [3, h, w] in [0, 1]; brought to 256 x 256 where one side is larger.
    """
    if max(picture.shape[1:]) > _LARGEST:
        size = (_LARGEST, _LARGEST)
        picture = F.interpolate(picture[None], size, mode="bilinear", align_corners=False)[0]
    pixels = picture.flatten(1)
    brightness = (pixels.square().sum(0) + _EPSILON).sqrt()
    logs = (pixels + _EPSILON).log()
    planes = []
    for channel, (first, second) in enumerate(((1, 2), (0, 2), (0, 1))):
        u, v = (_kernel(logs[channel] - logs[other]) for other in (first, second))
        planes.append((brightness[:, None] * u).T @ v)
    histogram = torch.stack(planes)
    return histogram / (histogram.sum() + _EPSILON)


def _kernel(values: Tensor) -> Tensor:
    """The share of each value [P] in each bin: [P, 64]."""
    bins = torch.linspace(-3, 3, _BINS, dtype=torch.float64, device=values.device)
    distances = (values[:, None].double() - bins) / _SIGMA
    return (1 / (1 + distances.square())).float()


def histogram_loss(first: Tensor, second: Tensor) -> float:
    """The Hellinger distance of two histograms, in [0, 1]; 0 for equal ones."""
    return ((first.sqrt() - second.sqrt()).square().sum().sqrt() / 2**0.5).item()
