"""The RGB-uv histogram, against its formula pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from styleid_ray.evaluation.histogram import histogram_loss, rgb_uv_histogram


def plainly(picture: np.ndarray) -> np.ndarray:
    bins = [-3 + 6 * i / 63 for i in range(64)]
    histogram = np.zeros((3, 64, 64))
    for pixel in picture.reshape(3, -1).T.tolist():
        brightness = math.sqrt(sum(v * v for v in pixel) + 1e-6)
        logs = [math.log(v + 1e-6) for v in pixel]
        for channel in range(3):
            u, v = (logs[channel] - logs[other] for other in range(3) if other != channel)
            ku, kv = ([1 / (1 + ((d - bin) / 0.02) ** 2) for bin in bins] for d in (u, v))
            histogram[channel] += brightness * np.outer(ku, kv)
    return histogram / (histogram.sum() + 1e-6)


def test_the_histogram_is_the_sum_of_its_formula_over_pixels() -> None:
    picture = np.random.default_rng(0).random((3, 2, 5)).astype(np.float32)
    found = rgb_uv_histogram(torch.from_numpy(picture))
    np.testing.assert_allclose(found.numpy(), plainly(picture), rtol=1e-4, atol=1e-9)
    assert found.sum().item() == pytest.approx(1, abs=1e-4)


def test_a_brighter_picture_of_the_same_colours_is_as_near() -> None:
    picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.1
    loss = histogram_loss(rgb_uv_histogram(picture), rgb_uv_histogram(2 * picture))
    assert loss < 0.01


def test_pure_colours_are_as_far_apart_as_can_be() -> None:
    red, blue = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    red[0], blue[2] = 1, 1
    loss = histogram_loss(rgb_uv_histogram(red), rgb_uv_histogram(blue))
    assert 0.5 < loss <= 1


def test_a_large_picture_is_measured_at_256_pixels() -> None:
    small = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(1))
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.allclose(rgb_uv_histogram(large), rgb_uv_histogram(small), atol=1e-6)


def test_a_black_picture_has_a_histogram() -> None:
    black = rgb_uv_histogram(torch.zeros(3, 8, 8))
    assert torch.isfinite(black).all()
    assert histogram_loss(black, black) == 0
