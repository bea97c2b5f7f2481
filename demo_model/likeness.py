"""How much a stylised picture took from its style and kept of its content. Numpy only.

Pictures are float32 [H, W, 3], sRGB in [0, 1].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from demo_model.drawing.colour import rgb_to_oklab
from demo_model.drawing.fields import Field, Picture, blur, luminance

Matrix = npt.NDArray[np.float64]


def colour_distance(a: Picture, b: Picture, directions: int = 64) -> float:
    """Sliced Wasserstein-1 distance of two pictures' colours in RGB, in [0, 1].

    Mean over fixed directions of the distance between the sorted projections (Rabin et al. 2011).
    """
    ways = np.random.default_rng(0).standard_normal((3, directions))
    ways /= np.linalg.norm(ways, axis=0)
    ranks = np.linspace(0, 1, 1024)
    p, q = (np.quantile(x.reshape(-1, 3) @ ways, ranks, axis=0) for x in (a, b))
    return float(np.abs(p - q).mean())


def texture_gram(picture: Picture) -> Matrix:
    """Gram matrix [72, 72] of the responses to a fixed bank of filters.

    The bank takes first derivatives (0, 45, 90, 135 degrees) and second ones (0, 90 degrees) of
    Gaussians of 1, 2, 4 and 8 pixels at a side of 256, in each channel of OKLab.
    """
    lab = rgb_to_oklab(picture)
    responses: list[Field] = []
    for channel in range(3):
        for sigma in (1, 2, 4, 8):
            smooth = blur(np.ascontiguousarray(lab[:, :, channel]), sigma / 256)
            gy, gx = np.gradient(smooth)
            bank = [gx, gy, (gx + gy) / 2**0.5, (gx - gy) / 2**0.5]
            bank += [np.gradient(gx, axis=1), np.gradient(gy, axis=0)]
            # Magnitudes: textures that differ only in phase are alike.
            responses += [np.abs(response) * sigma for response in bank]
    rows = np.stack([response.ravel() for response in responses]).astype(np.float64)
    return rows @ rows.T / rows.shape[1]


def texture_distance(a: Matrix, b: Matrix) -> float:
    """Frobenius distance of two Gram matrices over the sum of their norms, in [0, 1]."""
    return float(np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b)))


def edge_correlation(a: Picture, b: Picture, sigma: float = 1.5) -> float:
    """Pearson correlation of gradient magnitudes, smoothed by `sigma` pixels at a side of 256."""
    magnitudes = []
    for picture in (a, b):
        gy, gx = np.gradient(blur(luminance(picture), sigma / 256))
        magnitudes.append(np.hypot(gy, gx).ravel())
    return float(np.corrcoef(magnitudes[0], magnitudes[1])[0, 1])
