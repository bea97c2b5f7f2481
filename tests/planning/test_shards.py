"""Shards hold every pair once, keep to their bounds, and reuse inversions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styleid_ray.planning import assign_shards


def grid(contents: int, styles: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(contents), styles), np.tile(np.arange(styles), contents)


def pictures(shards, index) -> list[set[int]]:
    return [set(index[shards == s].tolist()) for s in range(shards.max() + 1)]


def inversions(shards, *indices) -> int:
    return sum(len(found) for index in indices for found in pictures(shards, index))


bound = st.integers(1, 6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=60), bound, bound)
def test_any_set_of_pairs_keeps_to_the_bounds(pairs, most_contents, most_styles):
    contents, styles = np.array(pairs, np.int32).reshape(-1, 2).T
    shards = assign_shards(contents, styles, most_contents, most_styles)
    assert shards.shape == contents.shape
    if not pairs:
        return
    assert set(shards.tolist()) == set(range(shards.max() + 1))
    assert max(map(len, pictures(shards, contents))) <= most_contents
    assert max(map(len, pictures(shards, styles))) <= most_styles
    assert np.bincount(shards).max() <= most_contents * most_styles
    assert np.array_equal(shards, assign_shards(contents, styles, most_contents, most_styles))


def test_a_grid_is_cut_into_balanced_tiles():
    contents, styles = grid(6, 5)
    shards = assign_shards(contents, styles, 4, 4)
    assert sorted(np.bincount(shards).tolist()) == [6, 6, 9, 9]
    assert [len(found) for found in pictures(shards, contents)] == [3, 3, 3, 3]


def test_a_grid_within_the_bounds_is_one_shard_at_the_floor_of_the_cost():
    contents, styles = grid(20, 40)
    assert assign_shards(contents, styles, 1024, 1024).max() == 0


@pytest.mark.parametrize(("contents", "styles"), [grid(9, 13), grid(1, 9), grid(9, 1)])
def test_neighbouring_tiles_share_contents_or_styles(contents, styles):
    shards = assign_shards(contents, styles, 4, 4)
    c, s = pictures(shards, contents), pictures(shards, styles)
    assert all(c[i] & c[i + 1] or s[i] & s[i + 1] for i in range(len(c) - 1))


def test_a_grid_in_any_order_and_with_any_numbers_makes_the_same_tiles():
    contents, styles = grid(6, 6)
    shuffled = np.random.default_rng(0).permutation(36)
    shards = assign_shards(contents, styles, 4, 4)
    again = assign_shards(contents[shuffled] * 10, styles[shuffled] + 7, 4, 4)
    assert np.array_equal(shards[shuffled], again)


def test_one_style_for_each_content_is_shared_among_them():
    styles = np.random.default_rng(0).integers(0, 5, 400)
    shards = assign_shards(np.arange(400), styles, 4, 4)
    assert inversions(shards, np.arange(400), styles) <= 400 * 1.3


def test_a_grid_with_a_few_pairs_missing_is_still_tiled():
    contents, styles = (index[np.arange(256) % 17 > 0] for index in grid(16, 16))
    shards = assign_shards(contents, styles, 4, 4)
    assert inversions(shards, contents, styles) == 16 * 8


def test_replicates_of_a_pair_share_a_shard_up_to_its_bound():
    one = np.zeros(9, int)
    assert np.bincount(assign_shards(one, one, 2, 2)).tolist() == [4, 4, 1]


def test_a_large_sparse_set_takes_seconds():
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    assign_shards(rng.integers(0, 50_000, 200_000), rng.integers(0, 100, 200_000), 4, 4)
    assert time.perf_counter() - start < 10
