"""Weighted draws keep their proportions, and unweighted draws never change."""

from __future__ import annotations

import numpy as np

from styleid_ray.planning.draw import draw_styles, draw_weighted_styles

KEYS = [f"photo {i}.png" for i in range(20_000)]
STYLES = [f"style {i}.png" for i in range(6)]


def test_one_style_is_drawn_in_proportion_to_its_weight():
    weights = np.array([0, 0.5, 1, 1, 2, 5.5])
    drawn = draw_weighted_styles(KEYS, STYLES, weights, 1, seed=0)
    counts = np.bincount(drawn.reshape(-1), minlength=6)
    assert counts[0] == 0
    assert np.abs(counts / 2000 - weights).max() < 0.15


def test_several_styles_are_distinct_and_drawn_one_after_the_other():
    weights = np.array([1, 0, 1, 2, 0, 4.0])
    drawn = draw_weighted_styles(KEYS, STYLES, weights, 2, seed=1)
    assert (np.diff(drawn, axis=1) > 0).all()
    both = np.mean((drawn == [3, 5]).all(axis=1))
    assert abs(both - (4 / 8 * 2 / 4 + 2 / 8 * 4 / 6)) < 0.015


def test_a_weighted_draw_depends_on_its_own_content_alone_and_on_the_seed():
    weights = np.arange(1, 7.0)
    drawn = draw_weighted_styles(KEYS, STYLES, weights, 2, seed=1)
    assert (draw_weighted_styles(KEYS[::2], STYLES, weights, 2, seed=1) == drawn[::2]).all()
    assert (draw_weighted_styles(KEYS, STYLES, weights, 2, seed=2) != drawn).any()


def test_the_unweighted_draw_of_a_content_stays_as_it_was():
    assert draw_styles(["a.png", "b.png", "ü/c.jpg"], 1000, 3, seed=7).tolist() == [
        [148, 632, 857],
        [338, 747, 773],
        [523, 884, 893],
    ]
