"""Methods to compare StyleID with: colour transfers, and AdaIN of clean latents.

Pictures are float64 [3, H, W] in [0, 1], red, green and blue as stored; results may lie outside.
Content and style may differ in height and width; only moments of the style count. A constant
channel or direction of the content stays constant, so that flat pictures give no NaN.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from styleid_ray.config import Method

_CONSTANT = 1e-9
"""Standard deviation, relative to the largest value, of constant values: above the rounding of
float64, and below one grey level in one pixel of any picture."""

_DARKEST = 1 / 255
"""Least cone response before the logarithm, one grey level; smaller responses are raised to it."""
_RGB_TO_LMS = torch.tensor(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]],
    dtype=torch.float64,
)
_LMS_TO_LAB = torch.diag(torch.tensor([3, 6, 2], dtype=torch.float64).rsqrt()) @ torch.tensor(
    [[1, 1, 1], [1, 1, -2], [1, -1, 0]], dtype=torch.float64
)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """σ(s)·(c − μ(c)) / σ(c) + μ(s) per channel (Huang and Belongie, ICCV 2017, eq. 8), in the
    space of the given values.

    Args:
        content: [C, h, w] of any floating type.
        style: [C, h', w'] of the same type.
    """
    mu_c, mu_s = (x.mean((1, 2), keepdim=True) for x in (content, style))
    sigma_c, sigma_s = (x.std((1, 2), correction=0, keepdim=True) for x in (content, style))
    constant = sigma_c <= _CONSTANT * content.abs().amax((1, 2), keepdim=True)
    return torch.where(constant, 0, sigma_s / sigma_c) * (content - mu_c) + mu_s


def reinhard(content: Tensor, style: Tensor) -> Tensor:
    """Mean and standard deviation of each channel of lαβ (Reinhard et al., Color Transfer between
    Images, IEEE CG&A 2001).

    The way back to RGB is the exact inverse; the matrix that the paper prints differs from it by up
    to 0.02.
    """
    return _from_lab(adain(_to_lab(content), _to_lab(style)))


def mkl(content: Tensor, style: Tensor) -> Tensor:
    """The linear Monge-Kantorovitch colour transfer T·(c − μ(c)) + μ(s), which moves colours least
    of all linear maps that give the style's covariance (Pitié and Kokaram, CVMP 2007):
    T = Σc^(−1/2) (Σc^(1/2) Σs Σc^(1/2))^(1/2) Σc^(−1/2).
    """
    c, s = content.flatten(1), style.flatten(1)
    mu_c, mu_s = c.mean(1, keepdim=True), s.mean(1, keepdim=True)
    sigma_c, sigma_s = torch.cov(c, correction=0), torch.cov(s, correction=0)
    root = _power(sigma_c, 0.5)
    inverse = _power(sigma_c, -0.5)
    t = inverse @ _power(root @ sigma_s @ root, 0.5) @ inverse
    return (t @ (c - mu_c) + mu_s).unflatten(1, content.shape[1:])


TRANSFERS: dict[Method, Callable[[Tensor, Tensor], Tensor]] = {
    "adain": adain,
    "reinhard": reinhard,
    "mkl": mkl,
}
"""The methods that need no model, each a function of content and style."""


def _power(symmetric: Tensor, exponent: float) -> Tensor:
    """A power of a positive semidefinite matrix [n, n]; directions without variance stay so."""
    values, vectors = torch.linalg.eigh(symmetric)
    varies = values > _CONSTANT**2 + 1e-12 * values.max()
    powers = torch.where(varies, values, 1).pow(exponent) * varies
    return vectors * powers @ vectors.T


def _to_lab(rgb: Tensor) -> Tensor:
    lms = torch.einsum("ij,jhw->ihw", _RGB_TO_LMS, rgb).clamp(min=_DARKEST)
    return torch.einsum("ij,jhw->ihw", _LMS_TO_LAB, lms.log10())


def _from_lab(lab: Tensor) -> Tensor:
    lms = 10 ** torch.einsum("ij,jhw->ihw", torch.linalg.inv(_LMS_TO_LAB), lab)
    return torch.einsum("ij,jhw->ihw", torch.linalg.inv(_RGB_TO_LMS), lms)
