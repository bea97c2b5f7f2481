"""The order and the amount of work that is left."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from styleid_ray.batch.folder.failures import Failures
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.folder.work import count_pairs, limited, sampled_order
from styleid_ray.errors import OutputError
from styleid_ray.planning import assign_shards


@pytest.mark.parametrize("shards", [0, 1, 4, 5, 17, 400, 5000])
def test_every_shard_is_in_the_order_once(shards: int) -> None:
    assert sorted(sampled_order(range(shards))) == list(range(shards))


@pytest.mark.parametrize("shards", [100, 400, 5000])
def test_a_quarter_of_a_run_reaches_into_each_eighth_of_it_and_neighbours_stay_together(
    shards: int,
) -> None:
    order = sampled_order(range(shards))
    quarter = order[: shards // 4 + 40]
    assert {shard * 8 // shards for shard in quarter} >= {0, 2, 4, 6}
    apart = sum(b != a + 1 for a, b in pairwise(order))
    assert apart <= max(16, shards // 32 + 1) + 8


@pytest.mark.parametrize("shards", [128, 400, 5000])
@pytest.mark.parametrize("pilot", [2, 4, 8])
def test_a_pilot_of_a_few_shards_spans_the_plan(shards: int, pilot: int) -> None:
    first = sampled_order(range(shards))[:pilot]
    assert len({shard * pilot // shards for shard in first}) >= 3 * pilot // 4


@pytest.mark.parametrize(("contents", "styles"), [(200, 400), (1000, 40), (200, 100), (60, 60)])
def test_the_order_costs_less_than_one_percent_of_the_evaluations(
    contents: int, styles: int
) -> None:
    content, style = (axis.ravel() for axis in np.indices((contents, styles)))
    shard = assign_shards(content, style, 200)
    pictures = [
        [*np.unique(content[shard == n]), *-1 - np.unique(style[shard == n])]
        for n in range(int(shard.max()) + 1)
    ]

    def evaluations(order: list[int]) -> int:
        """Evaluations of one actor that keeps the inversions of the 60 pictures used last."""
        kept, inversions = dict[int, None](), 0
        for number in order:
            inversions += sum(picture not in kept for picture in pictures[number])
            for picture in pictures[number]:
                kept.pop(picture, None)
                kept[picture] = None
            for picture in [*kept][:-60]:
                del kept[picture]
        return 50 * inversions + 49 * len(shard)

    plan = list(range(len(pictures)))
    assert evaluations(sampled_order(plan)) < 1.01 * evaluations(plan)


def test_a_stopped_run_resumes_in_the_same_order_whatever_is_finished(tmp_path: Path) -> None:
    parts = {
        "part-0": {f"a{n}": 2 for n in range(20)},
        "part-1": {f"b{n}": 3 for n in range(20)},
    }
    whole = Tally(parts, set(), Failures()).left()
    assert {entry["part"] for entry in whole[:2]} == {*parts}
    order = [shard for entry in whole for shard in entry["shards"]]
    rest = Tally(parts, {*order[:15]}, Failures()).left()
    assert [shard for entry in rest for shard in entry["shards"]] == order[15:]
    assert all(shard in parts[entry["part"]] for entry in whole for shard in entry["shards"])


def test_a_limit_is_rounded_up_to_whole_shards_and_exact_in_a_retry() -> None:
    work = [
        {"part": "part-0", "shards": ["a", "b"]},
        {"part": "part-1", "shards": ["c", "d"]},
    ]
    pairs = {"a": 200, "b": 200, "c": 50, "d": 200}
    assert limited(work, pairs, None) == work
    some = limited(work, pairs, 401)
    assert some == [work[0], {"part": "part-1", "shards": ["c"]}]
    assert count_pairs(some, pairs) == 450
    assert limited(work, pairs, 1) == [{"part": "part-0", "shards": ["a"]}]

    again = [{"part": "part-0", "pair_ids": ["p", "q"]}, {"part": "part-1", "pair_ids": ["r"]}]
    assert limited(again, pairs, 1) == [{"part": "part-0", "pair_ids": ["p"]}]
    assert count_pairs(again, pairs) == 3


def test_a_damaged_summary_is_named_with_its_remedy(tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    assert output.summary() == {}
    for text in (b"{", b"[]", b"\xff"):
        output.write("summary.json", text)
        with pytest.raises(OutputError, match=r"summary\.json is damaged: remove it"):
            output.summary()
