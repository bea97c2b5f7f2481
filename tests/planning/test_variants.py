"""Variants differ in their drawn values, share their inversions, and never change."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from styleid_ray.config import JobConfig
from styleid_ray.errors import SourceError
from styleid_ray.planning import NamedPairs, make_pairs, name_pairs
from styleid_ray.planning.shards import assign_shards, assign_variants

GIVEN = ["content", "style", "k", "gamma", "temperature"]


@pytest.fixture
def config(folder):
    """A job with this many contents and styles, and whatever else is asked for."""

    def make(contents=3, styles=2, **rest) -> JobConfig:
        content = folder("content", [f"c{i:02d}.png" for i in range(contents)])
        style = folder("style", [f"s{i:02d}.png" for i in range(styles)])
        return JobConfig(content=str(content), style=str(style), output="out", **rest)

    return make


@pytest.fixture
def table(config, tmp_path):
    """A job of the pairs in this CSV."""

    def make(text: str, **rest) -> JobConfig:
        (tmp_path / "pairs.csv").write_text(text)
        return config(pairing="table", table=str(tmp_path / "pairs.csv"), **rest)

    return make


def named(config: JobConfig) -> NamedPairs:
    return name_pairs(config, "print")


def rows(config: JobConfig) -> list[tuple]:
    return [tuple(row.values()) for row in named(config).pairs.table.select(GIVEN).to_pylist()]


def test_without_draws_the_pairs_are_those_of_the_pairing(config):
    for asked in (config(), config(pairing="random", variants=1)):
        assert named(asked).pairs.table.equals(make_pairs(asked).table)


def test_a_list_gives_one_variant_per_value_and_lists_all_their_combinations(config):
    assert rows(config(1, 1, gamma="0.3,0.6")) == [
        ("c00.png", "s00.png", 0, 0.3, None),
        ("c00.png", "s00.png", 1, 0.6, None),
    ]
    both = rows(config(2, 1, gamma="0.3,0.6", temperature="1,1.5,2"))
    swept = [(g, t) for g in (0.3, 0.6) for t in (1.0, 1.5, 2.0)]
    assert [row[3:] for row in both] == swept * 2
    assert [row[2] for row in both] == [*range(6)] * 2


def test_a_range_is_drawn_uniformly_to_six_decimals(config):
    asked = config(20, 20, gamma="0.5..0.9", temperature="1.2..1.8", variants=25)
    columns = np.array([row[2:] for row in rows(asked)])
    assert len(columns) == 10_000
    for values, low, high in ((columns[:, 1], 0.5, 0.9), (columns[:, 2], 1.2, 1.8)):
        assert low <= values.min()
        assert values.max() <= high
        assert np.array_equal(values, np.round(values, 6))
        counts = np.histogram(values, 10, (low, high))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 28  # chance alone: once in a thousand
    assert abs(np.corrcoef(columns.T)[np.triu_indices(3, 1)]).max() < 0.04


def test_each_value_follows_from_its_pair_and_the_seed_alone(config):
    ask = {"gamma": "0.5..0.9", "seed": 4}
    few = set(rows(config(3, 2, variants=2, **ask)))
    assert few < set(rows(config(5, 4, variants=3, **ask)))
    other = set(rows(config(3, 2, variants=2, gamma="0.5..0.9", seed=5)))
    assert not few & other
    assert len({row[3] for row in few}) == len(few) == 3 * 2 * 2


def test_a_range_and_a_list_go_together(config):
    asked = rows(config(1, 1, gamma="0.5..0.9", temperature="1,2", variants=4))
    assert [row[4] for row in asked] == [1, 2, 1, 2]
    assert len({row[3] for row in asked}) == 4


def test_variants_differ_in_their_ids(config):
    ids = named(config(gamma="0.3,0.6")).ids
    assert len(set(ids.tolist())) == len(ids) == 12


def test_a_number_of_the_table_wins_and_repeats_no_picture(table):
    asked = table("content,style,gamma\nc00.png,s00.png,0.7\nc01.png,s00.png,\n", gamma="0.3,0.6")
    assert rows(asked) == [
        ("c00.png", "s00.png", 0, 0.7, None),
        ("c01.png", "s00.png", 0, 0.3, None),
        ("c01.png", "s00.png", 1, 0.6, None),
    ]
    drawn = rows(asked.model_copy(update={"gamma": "0.5..0.6", "variants": 3}))
    assert [row[3] for row in drawn if row[0] == "c00.png"] == [0.7]
    assert len({row[3] for row in drawn}) == 4


def test_own_numbers_leave_the_values_of_other_lists(table):
    text = "content,style,gamma,temperature\nc00.png,s00.png,0.7,\nc01.png,s00.png,,1.1\n"
    asked = table(text, gamma="0.3,0.6", temperature="1,2")
    assert [row[3:] for row in rows(asked)] == [(0.7, 1.0), (0.7, 2.0), (0.3, 1.1), (0.6, 1.1)]


SAME = "content,style,k\nc00.png,s00.png,0\nc01.png,s00.png,0\nc00.png,s00.png,1\n"


def test_rows_that_differ_in_k_alone_are_the_same_picture(table):
    with pytest.raises(SourceError, match=r"rows 1 and 3; drop .* different gamma or temperature"):
        named(table(SAME))
    drawn = rows(table(SAME, gamma="0.5..0.9"))
    assert len({row[3] for row in drawn}) == 3
    assert [row[2] for row in drawn] == [0, 0, 1]


def test_k_does_not_number_rows_whose_values_are_all_their_own(table):
    text = "content,style,k,gamma\nc00.png,s00.png,0,0.5\nc00.png,s00.png,1,0.5\n"
    with pytest.raises(SourceError, match="rows 1 and 2"):
        named(table(text, gamma="0.5..0.9"))
    assert len(rows(table(text.replace("1,0.5", "1,0.6")))) == 2


@pytest.mark.parametrize("ask", [{"gamma": "0.3,0.6"}, {"gamma": "0.5..0.9", "variants": 2}])
def test_a_column_k_beside_numbered_variants_is_refused(table, ask):
    with pytest.raises(SourceError, match=r"has a column k.*drop the column"):
        named(table(SAME, **ask))


@pytest.mark.parametrize("pairing", ["cross", "random"])
def test_variants_cost_the_inversions_of_one_and_sample_each(config, pairing):
    ask = {"pairing": pairing, "styles_per_content": 3}
    one = config(12, 9, shard_pairs=10, **ask)
    four = config(12, 9, shard_pairs=40, gamma="0.5..0.9", variants=4, **ask)
    params = one.style_params.resolved()
    single, several = (named(asked).cut(asked).cost(params) for asked in (one, four))
    assert several.pairs == 4 * single.pairs
    assert several.shards == single.shards > 1
    assert several.content_inversions == single.content_inversions
    assert several.style_inversions == single.style_inversions
    assert several.unet_evaluations - single.unet_evaluations == (
        3 * single.pairs * params.sampling_evaluations
    )


def test_variants_stay_together_unless_they_alone_exceed_a_shard(config):
    for most in (1, 2, 3, 4, 5, 7, 30, 200):
        asked = config(5, 4, gamma="0.5..0.9", variants=5, shard_pairs=most)
        table = named(asked).cut(asked).table.select(["shard", "content", "style"]).to_pylist()
        shards = [row["shard"] for row in table]
        assert max(map(shards.count, shards)) <= most
        places = {(row["content"], row["style"], row["shard"]) for row in table}
        assert len(places) == 20 * math.ceil(5 / most)
        assert sum(a != b for a, b in pairwise(shards)) == len(set(shards)) - 1


def test_an_extended_plan_keeps_the_variants_that_are_left_together(config):
    before = named(config(4, 3, gamma="0.5..0.9", variants=2))
    asked = config(5, 3, gamma="0.5..0.9", variants=5, shard_pairs=6)
    plan = named(asked).without(before.ids).cut(asked)
    assert plan.pairs == 15 * 5 - 12 * 2
    rows = plan.table.select(["shard", "content", "style"]).to_pylist()
    assert len({tuple(row.values()) for row in rows}) == 15


def test_variants_of_groups_are_cut_as_their_pairs_are():
    rng = np.random.default_rng(0)
    content, style = rng.integers(0, 30, 200), rng.integers(0, 9, 200)
    together = np.repeat(np.arange(200), 3)
    group = content % 4
    index = content[together], style[together]
    shards = assign_variants(together, *index, 24, group[together])
    assert np.array_equal(shards[::3], assign_shards(content, style, 8, group))
