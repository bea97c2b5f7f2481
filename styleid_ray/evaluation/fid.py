"""The Fréchet distance between two sets of features, from their moments (Heusel et al. 2017)."""

import numpy as np


class Moments:
    """Sums over a set of features of any size, which suffice for the distance.

    Args:
        size: F, numbers of a feature; those of Inception by default.
    """

    def __init__(self, size: int = 2048) -> None:
        self.count = 0
        self.sum, self.squares = np.zeros(size), np.zeros((size, size))

    def add(self, features: np.ndarray, times: np.ndarray | None = None) -> None:
        """Adds features.

        Args:
            features: [N, F].
            times: number of times that each counts, int [N]; by default once.
        """
        x = features.astype(np.float64)
        times = np.ones(len(x), np.int64) if times is None else times
        self.count += int(times.sum())
        weighted = x * times[:, None]
        self.sum += weighted.sum(0)
        self.squares += weighted.T @ x

    @property
    def mean(self) -> np.ndarray:
        """[F]."""
        return self.sum / self.count

    @property
    def covariance(self) -> np.ndarray:
        """[F, F], divided by the count less one."""
        return (self.squares - np.outer(self.sum, self.mean)) / (self.count - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), at least 0.

    The covariances of few pictures are singular, and the root of their product is inexact. With
    C = A Aᵀ its trace is the sum of the singular values of A1ᵀ A2, which is exact there too.

    Raises:
        ValueError: a set has fewer than two pictures.
    """
    if min(first.count, second.count) < 2:
        raise ValueError("FID compares two sets of at least two pictures each")
    one, two = first.covariance, second.covariance
    root = np.linalg.svd(_factor(one).T @ _factor(two), compute_uv=False).sum()
    difference = first.mean - second.mean
    return max(0.0, float(difference @ difference + np.trace(one) + np.trace(two) - 2 * root))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """A with A Aᵀ = covariance, [F, R], without directions that are mere rounding."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(values[-1], 0) * len(values) * np.finfo(np.float64).eps
    return vectors[:, kept] * np.sqrt(values[kept])
