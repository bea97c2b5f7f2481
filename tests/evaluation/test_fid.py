"""The Fréchet distance, by hand and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from styleid_ray.evaluation.fid import Moments, frechet_distance

SIZE = 24


def features(count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Non-negative features with few directions, as a network's are."""
    draws = np.random.default_rng(seed)
    basis = draws.standard_normal((12, SIZE))
    return np.maximum(draws.standard_normal((count, 12)) @ basis * scale, 0).astype(np.float32)


def moments(*blocks: np.ndarray) -> Moments:
    total = Moments(SIZE)
    for block in blocks:
        total.add(block)
    return total


def test_equal_sets_are_at_no_distance() -> None:
    assert frechet_distance(moments(features(20, 0)), moments(features(20, 0))) == pytest.approx(
        0, abs=1e-6
    )


def test_along_one_direction_it_is_the_distance_of_means_and_deviations() -> None:
    one, two = np.zeros((3, SIZE)), np.zeros((3, SIZE))
    one[:, 7], two[:, 7] = (0, 1, 2), (10, 13, 16)  # means 1 and 13, deviations 1 and 3
    assert frechet_distance(moments(one), moments(two)) == pytest.approx(12**2 + (3 - 1) ** 2)


def test_variances_of_separate_directions_add() -> None:
    one, two = np.zeros((3, SIZE)), np.zeros((3, SIZE))
    one[:, 7], two[:, 8] = (-1, 0, 1), (-2, 0, 2)
    assert frechet_distance(moments(one), moments(two)) == pytest.approx(1 + 4)


def test_fid_equals_torchmetrics() -> None:
    one, two = features(30, 1), features(40, 2, 0.7)
    other = FrechetInceptionDistance(Identity())
    other.update(torch.from_numpy(one), real=True)
    other.update(torch.from_numpy(two), real=False)
    ours = frechet_distance(moments(one), moments(two))
    assert ours == pytest.approx(other.compute().item(), rel=1e-4)


class Identity(torch.nn.Module):
    """Features as they are."""

    num_features = SIZE

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_set_may_come_in_parts_and_with_counts() -> None:
    x = features(9, 3)
    parts, counted = moments(x[:4], x[4:], x[:1]), Moments(SIZE)
    counted.add(x, np.array([2, *[1] * 8]))
    assert parts.count == counted.count == 10
    np.testing.assert_allclose(parts.covariance, counted.covariance, atol=1e-9)
    np.testing.assert_allclose(parts.covariance, np.cov(np.vstack([x, x[:1]]).T), atol=1e-6)


def test_one_picture_has_no_distance() -> None:
    with pytest.raises(ValueError, match="at least two pictures"):
        frechet_distance(moments(features(1, 0)), moments(features(5, 0)))


def test_sets_of_one_picture_repeated_are_apart_by_their_means() -> None:
    one, two = features(1, 0), features(1, 1)
    distance = frechet_distance(moments(*[one] * 3), moments(*[two] * 3))
    assert distance == pytest.approx(((one.astype(float) - two) ** 2).sum(), rel=1e-6)
