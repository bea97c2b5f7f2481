"""A plan holds every pair once, in shards, and tells what it costs."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from styleid_ray.config import JobConfig
from styleid_ray.planning import (
    Cost,
    build_plan,
    estimate,
    pair_ids,
    plan_digest,
    recut_plan,
    shard_name,
    shards_of,
    write_parts,
)
from styleid_ray.planning.cost import shard_pictures


@pytest.fixture
def config(folder):
    """A job with this many contents and styles, and whatever else is asked for."""

    def make(contents=5, styles=6, **rest) -> JobConfig:
        content = folder("content", [f"c{i:02d}.png" for i in range(contents)])
        style = folder("style", [f"s{i:02d}.png" for i in range(styles)])
        return JobConfig(content=str(content), style=str(style), output="out", **rest)

    return make


def test_a_plan_holds_every_pair_once_with_the_id_of_its_fields(config):
    plan = build_plan(config(), "print")
    columns = plan.table.to_pydict()
    assert plan.pairs == 30
    assert set(zip(columns["content"], columns["style"], strict=True)) == {
        (c, s) for c in plan.contents.keys for s in plan.styles.keys
    }
    assert columns["pair_id"] == pair_ids(
        columns["content"], columns["style"], columns["k"], None, None, "print"
    )


def test_ids_take_the_parameters_of_a_row_into_account(config, tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "content,style,gamma,label\nc01.png,s01.png,0.5,x\nc00.png,s05.png,,y\n"
    )
    plan = build_plan(config(pairing="table", table=str(tmp_path / "pairs.csv")), "print")
    rows = plan.table.to_pydict()
    expected = pair_ids(rows["content"], rows["style"], rows["k"], rows["gamma"], None, "print")
    assert rows["pair_id"] == expected
    assert dict(zip(rows["content"], rows["label"], strict=True)) == {
        "c01.png": "x",
        "c00.png": "y",
    }


def test_shards_are_contiguous_bounded_and_named_after_their_pairs(config):
    plan = build_plan(config(shard_pairs=9), "print")
    names = plan.table["shard"].to_pylist()
    assert plan.shards == len(set(names)) == 4
    assert sum(a != b for a, b in pairwise(names)) == 3
    for name in set(names):
        ids = [row["pair_id"] for row in plan.table.to_pylist() if row["shard"] == name]
        assert name == shard_name(np.array(ids, "S32"))


def test_the_same_inputs_give_the_same_plan_and_others_another(config):
    plan = build_plan(config(), "print")
    again = build_plan(config(), "print")
    assert plan.table.equals(again.table)
    assert plan_digest(plan) == plan_digest(again)
    others = [build_plan(config(), "other"), build_plan(config(contents=7), "print")]
    assert len({plan_digest(other) for other in [plan, *others]}) == 3


def test_the_same_pairs_have_the_same_digest_however_they_are_cut(config):
    plan = build_plan(config(), "print")
    small = build_plan(config(shard_pairs=2), "print")
    assert small.shards == 15 > plan.shards == 1
    assert plan_digest(small) == plan_digest(plan)


@pytest.mark.parametrize("reuse", [False, True])
def test_a_plan_is_cut_anew_as_if_it_had_been_planned_for_so_many_workers(config, reuse):
    rest = {"pairing": "random", "styles_per_content": 3, "reuse": reuse}
    plan = build_plan(config(40, 6, **rest), "print")
    cut = recut_plan(plan, 200, workers=4)
    assert cut.table.equals(build_plan(config(40, 6, **rest), "print", workers=4).table)
    assert cut.shards >= 8 > plan.shards
    back = recut_plan(cut, 200, workers=1)
    assert list(shard_sets(back)) == list(shard_sets(plan))


def shard_sets(plan):
    return ((name, set(table["pair_id"].to_pylist())) for name, table in shards_of(plan.table, ()))


def test_moving_the_sources_leaves_the_ids_as_they_are(config, tmp_path):
    before = build_plan(config(), "print")
    moved = config().model_copy(update={"content": str(tmp_path / "moved")})
    (tmp_path / "content").rename(tmp_path / "moved")
    assert plan_digest(build_plan(moved, "print")) == plan_digest(before)


def test_the_cost_of_the_papers_grid_is_counted_in_unet_evaluations(config):
    plan = build_plan(config(20, 40, shard_pairs=2048), "print")
    params = config().style_params.resolved()
    assert plan.cost(params) == Cost(
        pairs=800,
        shards=1,
        contents=20,
        styles=40,
        content_inversions=20,
        style_inversions=40,
        unet_evaluations=42_200,
        naive_unet_evaluations=800 * 149,
        floor_unet_evaluations=42_200,
    )
    default = build_plan(config(20, 40), "print").cost(params)
    assert (default.unet_evaluations, default.floor_unet_evaluations) == (45_200, 42_200)


def test_styles_cost_nothing_where_they_have_no_part(config):
    asked = config(adain=False, inject=False)
    cost = build_plan(asked, "print").cost(asked.style_params.resolved())
    assert cost.style_inversions == 0
    assert cost.unet_evaluations == 5 * 50 + 30 * 49
    assert cost.floor_unet_evaluations == 5 * 50 + 30 * 49
    assert cost.naive_unet_evaluations == 30 * 99


def test_pictures_of_each_shard_are_counted(config):
    plan = build_plan(config(shard_pairs=9), "print")
    shards = [(3, 3, 9), (3, 3, 9), (2, 3, 6), (2, 3, 6)]
    assert sorted(map(tuple, shard_pictures(plan.table).tolist())) == sorted(shards)


def test_parts_hold_whole_shards_and_all_pairs(config):
    plan = build_plan(config(shard_pairs=9), "print")
    for most in (1, 8, 10, 17, 65536):
        parts = list(write_parts(plan, rows_per_part=most))
        assert [name for name, _ in parts] == [f"part-{i:05d}.parquet" for i in range(len(parts))]
        shards = [set(table["shard"].to_pylist()) for _, table in parts]
        assert sum(map(len, shards)) == len(set.union(*shards)) == 4
        assert all(
            t.num_rows <= most or len(s) == 1 for (_, t), s in zip(parts, shards, strict=True)
        )
        ids = [i for _, table in parts for i in table["pair_id"].to_pylist()]
        assert ids == plan.table["pair_id"].to_pylist()


def test_a_written_plan_reads_back_with_the_same_shards_and_cost(config, tmp_path):
    plan = build_plan(config(shard_pairs=9), "print")
    ((name, table),) = write_parts(plan)
    pq.write_table(table, tmp_path / name)
    back = pq.read_table(tmp_path / name)
    assert [n for n, _ in shards_of(back, set())] == [n for n, _ in shards_of(plan.table, set())]
    params = config().style_params.resolved()
    assert estimate(back, params) == plan.cost(params)


@pytest.mark.parametrize("form", [set, lambda ids: np.array(sorted(ids)), frozenset])
def test_what_is_done_is_left_out_and_a_rest_gets_its_own_name(config, form):
    plan = build_plan(config(shard_pairs=9), "print")
    whole = list(shards_of(plan.table, form(())))
    assert [name for name, _ in whole] == list(dict.fromkeys(plan.table["shard"].to_pylist()))
    first, second = (table["pair_id"].to_pylist() for _, table in whole[:2])
    rest = list(shards_of(plan.table, form([*first, second[0]])))
    assert len(rest) == len(whole) - 1
    assert rest[0][0] == shard_name(np.array(second[1:], "S32")) != whole[1][0]
    assert rest[0][1]["pair_id"].to_pylist() == second[1:]
    assert set(rest[0][1]["shard"].to_pylist()) == {rest[0][0]}
    assert [name for name, _ in rest[1:]] == [name for name, _ in whole[2:]]
    assert list(shards_of(plan.table, form(plan.table["pair_id"].to_pylist()))) == []


def test_a_shard_does_not_carry_the_keys_of_the_whole_plan(config):
    _, table = next(shards_of(build_plan(config(), "print").table, set()))
    assert str(table.schema.field("content").type) == "string"


def test_planning_and_imaging_load_neither_torch_nor_ray():
    code = (
        "import sys, styleid_ray.planning, styleid_ray.imaging\n"
        "assert not {'torch', 'ray', 's3fs'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
