"""Colours of pictures, against libraries and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.stats import wasserstein_distance

from styleid_ray.analysis.colours import CHANNELS, Colours, wasserstein
from tests.analysis.conftest import blocks


def test_the_distance_of_samples_of_any_sizes_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.normal(0, 1, 31)), np.sort(rng.normal(2, 3, 50).round(1))
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b))


def test_a_shift_by_ten_is_a_distance_of_ten() -> None:
    values = np.sort(np.random.default_rng(0).random(40))
    assert wasserstein(values, values + 10) == pytest.approx(10)


def test_the_distance_depends_neither_on_the_place_of_colours_nor_on_the_size() -> None:
    picture = blocks(0)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    double = picture.resize((128, 128), Image.Resampling.NEAREST)
    for other in (turned, double):
        assert Colours.of(picture).distance(Colours.of(other)) == pytest.approx(0, abs=1e-9)


def test_black_is_a_third_of_a_hundred_from_white() -> None:
    black, white = (Colours.of(Image.new("RGB", (4, 4), name)) for name in ("black", "white"))
    assert black.distance(white) == pytest.approx(100 / 3, abs=0.02)


def test_a_histogram_counts_every_pixel_once() -> None:
    colours = Colours.of(blocks(0))
    for channel in CHANNELS:
        assert colours.histogram(channel).sum() == pytest.approx(1)
    white = Colours.of(Image.new("RGB", (4, 4), "white"))
    assert white.histogram("R")[-1] == 1
    assert white.histogram("L*")[-1] == 1
