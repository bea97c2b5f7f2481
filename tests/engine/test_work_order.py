"""The order of inversions, evictions and batches, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from styleid_ray.engine.work_order import Evict, Invert, Op, Sample, Size, work_order

SMALL, LARGE = (4, 16, 16), (4, 16, 32)


def cross(contents: int, styles: int) -> list[tuple[str, str | None]]:
    return [(f"c{i}", f"s{j}") for i in range(contents) for j in range(styles)]


def equal_sizes(pairs: Iterable[Sequence[Any]], nbytes: int = 1) -> dict[Any, Size]:
    return {key: Size(SMALL, nbytes) for pair in pairs for key in pair if key is not None}


def replay(
    order: Sequence[Op], pairs: Sequence[Any], sizes: dict[Any, Size], held: Iterable[Any] = ()
) -> tuple[int, int]:
    """Follows an order as the engine does; returns the inversions and the most bytes kept."""
    kept, done, inversions, peak = set(held), [], 0, 0
    for op in order:
        match op:
            case Evict(key):
                kept.remove(key)
            case Invert(keys):
                assert not kept & set(keys), "inverted twice"
                assert len({sizes[key].shape for key in keys}) == 1
                kept |= set(keys)
                inversions += len(keys)
            case Sample(rows):
                assert {key for row in rows for key in pairs[row] if key is not None} <= kept
                done += rows
        peak = max(peak, sum(sizes[key].nbytes for key in kept))
    assert sorted(done) == list(range(len(pairs))), "each pair once"
    return inversions, peak


def test_each_picture_is_inverted_once_where_the_smaller_side_and_two_others_fit() -> None:
    pairs = cross(3, 10)
    sizes = equal_sizes(pairs)
    order = work_order(pairs, sizes, 5, lambda shape: 1)
    assert replay(order, pairs, sizes) == (13, 5)


def test_less_room_costs_inversions_of_the_passing_side_and_no_more() -> None:
    # Room for two of four contents beside two styles: the styles pass by twice.
    pairs = cross(4, 10)
    sizes = equal_sizes(pairs)
    order = work_order(pairs, sizes, 4, lambda shape: 1)
    inversions, peak = replay(order, pairs, sizes)
    assert inversions <= 4 + 2 * 10
    assert peak <= 4


def test_the_side_that_takes_less_memory_stays_though_it_has_more_pictures() -> None:
    pairs = cross(6, 4)
    sizes = {f"c{i}": Size(SMALL, 1) for i in range(6)}
    sizes |= {f"s{i}": Size(SMALL, 3) for i in range(4)}
    order = work_order(pairs, sizes, 12, lambda shape: 2)
    assert replay(order, pairs, sizes) == (10, 12)


def test_the_inversion_whose_next_use_is_farthest_is_evicted_first() -> None:
    pairs = [("c", "s0"), ("c", "s1"), ("c", "s2")]
    sizes = equal_sizes(pairs) | {"old": Size((), 1)}
    order = work_order(pairs, sizes, 3, lambda shape: 1, held=["s1", "s2", "old"])
    evicted = [op.key for op in order if isinstance(op, Evict)]
    assert evicted[:2] == ["old", "s2"]
    assert replay(order, pairs, sizes, ["s1", "s2", "old"])[0] == 3


def test_unused_inversions_are_evicted_least_recently_used_first() -> None:
    pairs = [("a", "s")]
    sizes = equal_sizes(pairs) | {key: Size((), 1) for key in "xyz"}
    order = work_order(pairs, sizes, 3, lambda shape: 1, held="xyz")
    assert [op.key for op in order if isinstance(op, Evict)] == ["x", "y"]


def test_inversions_of_earlier_work_are_not_made_again() -> None:
    pairs = cross(2, 2)
    sizes = equal_sizes(pairs)
    order = work_order(pairs, sizes, 9, lambda shape: 4, held=["c0", "s1"])
    assert sorted(key for op in order if isinstance(op, Invert) for key in op.keys) == ["c1", "s0"]


def test_a_batch_holds_pictures_of_one_shape_only() -> None:
    pairs = cross(4, 4)
    sizes = equal_sizes(pairs) | {"c1": Size(LARGE, 2), "s2": Size(LARGE, 2)}
    order = work_order(pairs, sizes, 99, lambda shape: 8)
    replay(order, pairs, sizes)
    for op in order:
        if isinstance(op, Sample):
            shapes = {tuple(sizes[key].shape for key in pairs[row]) for row in op.pairs}
            assert len(shapes) == 1


def test_batches_are_even_and_not_above_the_bound() -> None:
    pairs = cross(3, 7)
    order = work_order(pairs, equal_sizes(pairs), 99, lambda shape: 8)
    assert [len(op.pairs) for op in order if isinstance(op, Sample)] == [7, 7, 7]


def test_batches_are_smaller_where_their_own_pictures_would_not_fit() -> None:
    pairs = [(f"c{i}", f"s{i}") for i in range(64)]
    sizes = equal_sizes(pairs, 3)
    order = work_order(pairs, sizes, 60, lambda shape: 16)
    inversions, peak = replay(order, pairs, sizes)
    assert (inversions, peak <= 60) == (128, True)
    assert max(len(op.pairs) for op in order if isinstance(op, Sample)) == 8


def test_contents_without_styles_are_sampled_too() -> None:
    pairs = [("a", None), ("b", None)]
    sizes = equal_sizes(pairs)
    assert replay(work_order(pairs, sizes, 1, lambda shape: 1), pairs, sizes)[0] == 2


def test_a_capacity_below_what_a_pair_needs_is_exceeded_by_that_pair_alone() -> None:
    pairs = cross(2, 2)
    sizes = equal_sizes(pairs, 5)
    assert replay(work_order(pairs, sizes, 0, lambda shape: 4), pairs, sizes)[1] == 10


@settings(deadline=None)
@given(data=st.data())
def test_any_pairs_of_any_sizes_are_done_within_capacity(data: st.DataObject) -> None:
    grid = cross(5, 5)
    pairs = data.draw(st.lists(st.sampled_from(grid), min_size=1, max_size=30))
    sizes = {
        key: Size(data.draw(st.sampled_from([SMALL, LARGE])), data.draw(st.integers(1, 5)))
        for key in dict.fromkeys(key for pair in pairs for key in pair)
    }
    batch = data.draw(st.integers(1, 9))
    capacity = data.draw(st.integers(1, 60))
    order = work_order(pairs, sizes, capacity, lambda shape: batch)
    _, peak = replay(order, pairs, sizes)
    largest = max(
        sum(sizes[key].nbytes for key in {key for row in op.pairs for key in pairs[row]})
        for op in order
        if isinstance(op, Sample)
    )
    assert peak <= max(capacity, largest)


def test_a_shard_of_two_thousand_pairs_inverts_each_picture_once() -> None:
    pairs = cross(40, 50)
    sizes = equal_sizes(pairs)
    order = work_order(pairs, sizes, 60, lambda shape: 16)
    inversions, peak = replay(order, pairs, sizes)
    assert inversions == 90
    assert peak <= 60
