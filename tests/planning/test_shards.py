"""Shards hold every pair once, keep to their bounds, and reuse inversions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styleid_ray.planning import assign_shards
from styleid_ray.planning.shards import most_pictures, tile_grid


def grid(contents: int, styles: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(contents), styles), np.tile(np.arange(styles), contents)


def pictures(shards, index) -> list[set[int]]:
    return [set(index[shards == s].tolist()) for s in range(shards.max() + 1)]


def inversions(shards, *indices) -> int:
    return sum(len(found) for index in indices for found in pictures(shards, index))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=60),
    st.integers(1, 40),
    st.integers(1, 4) | st.none(),
)
def test_any_set_of_pairs_keeps_to_the_bound(pairs, most, kinds):
    contents, styles = np.array(pairs, np.int32).reshape(-1, 2).T
    groups = None if kinds is None else contents % kinds
    shards = assign_shards(contents, styles, most, groups)
    assert shards.shape == contents.shape
    if not pairs:
        return
    assert set(shards.tolist()) == set(range(shards.max() + 1))
    assert np.bincount(shards).max() <= most
    assert np.array_equal(shards, assign_shards(contents, styles, most, groups))
    if groups is not None:
        assert max(map(len, pictures(shards, groups))) == 1


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 700),
    st.integers(1, 700),
    st.integers(1, 2048),
    st.integers(2, 300),
)
def test_no_shard_has_more_pictures_than_the_bound(seed, contents, styles, most, bound):
    rng = np.random.default_rng(seed)
    c, s = rng.integers(0, contents, 3000), rng.integers(0, styles, 3000)
    shards = assign_shards(c, s, most, pictures=bound)
    assert np.bincount(shards).max() <= most
    found = zip(pictures(shards, c), pictures(shards, s), strict=True)
    assert max(len(a) + len(b) for a, b in found) <= bound


@pytest.mark.parametrize(
    ("contents", "styles", "most", "expected"),
    [
        (20, 40, 200, 120),  # 10 x 20
        (20, 40, 2048, 60),
        (6, 5, 9, 22),  # 3 x 3 and 3 x 2
        (10_000, 5, 200, 11_250),  # long content runs: 40 x 5
        (5, 10_000, 200, 11_250),
        (300, 300, 2048, 4200),  # 256 pictures
    ],
)
def test_a_grid_costs_the_fewest_inversions_that_tiles_can(contents, styles, most, expected):
    index = grid(contents, styles)
    shards = assign_shards(*index, most)
    fewest = min(
        contents * -(-styles // s) + styles * -(-contents // c)
        for c in range(1, contents + 1)
        for s in [min(styles, most // c, most_pictures(512) - c)]
        if s > 0
    )
    assert inversions(shards, *index) == fewest == expected


def test_among_equally_cheap_tiles_fewer_contents_are_preferred():
    assert tile_grid(20, 40, 800, 200) == (2, 2)
    assert tile_grid(40, 20, 800, 200) == (4, 1)


def test_a_grid_is_cut_into_balanced_tiles():
    contents, styles = grid(6, 5)
    shards = assign_shards(contents, styles, 9)
    assert sorted(np.bincount(shards).tolist()) == [6, 6, 9, 9]
    assert [len(found) for found in pictures(shards, contents)] == [3, 3, 3, 3]


@pytest.mark.parametrize(("contents", "styles"), [grid(9, 13), grid(1, 90), grid(90, 1)])
def test_neighbouring_tiles_share_contents_or_styles(contents, styles):
    shards = assign_shards(contents, styles, 16)
    c, s = pictures(shards, contents), pictures(shards, styles)
    assert len(c) > 3
    assert all(c[i] & c[i + 1] or s[i] & s[i + 1] for i in range(len(c) - 1))


def test_a_grid_in_any_order_and_with_any_numbers_makes_the_same_tiles():
    contents, styles = grid(6, 6)
    shuffled = np.random.default_rng(0).permutation(36)
    shards = assign_shards(contents, styles, 9)
    again = assign_shards(contents[shuffled] * 10, styles[shuffled] + 7, 9)
    assert np.array_equal(shards[shuffled], again)


def test_one_random_style_a_content_takes_about_one_inversion_a_pair():
    styles = np.random.default_rng(0).integers(0, 50, 4000)
    shards = assign_shards(np.arange(4000), styles, 200)
    assert inversions(shards, np.arange(4000), styles) <= 4000 * 1.02


def test_a_few_random_styles_of_few_take_well_below_one_inversion_a_pair():
    rng = np.random.default_rng(0)
    contents = np.repeat(np.arange(1000), 4)
    styles = np.concatenate([rng.choice(100, 4, replace=False) for _ in range(1000)])
    shards = assign_shards(contents, styles, 200)
    assert inversions(shards, contents, styles) <= 4000 * 0.7


def test_pairs_without_a_common_picture_fill_their_shards():
    shards = assign_shards(np.arange(1000), np.arange(1000), 200)
    assert np.bincount(shards).min() >= 100


def test_a_grid_with_a_few_pairs_missing_is_still_tiled():
    contents, styles = (index[np.arange(256) % 17 > 0] for index in grid(16, 16))
    shards = assign_shards(contents, styles, 16)
    assert inversions(shards, contents, styles) <= 16 * 8 * 1.15


def test_rows_of_one_pair_are_spread_evenly_over_few_shards():
    one = np.zeros(9, int)
    assert np.bincount(assign_shards(one, one, 4)).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("size", "expected"), [(512, 256), (1024, 64), (768, 113), (64, 2048), (4096, 4), (10**4, 2)]
)
def test_the_pictures_of_a_shard_follow_from_their_area(size, expected):
    assert most_pictures(size) == expected


def test_a_large_sparse_set_takes_seconds():
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    assign_shards(rng.integers(0, 50_000, 200_000), rng.integers(0, 100, 200_000), 200)
    assert time.perf_counter() - start < 10
