"""A plan holds every pair once, in shards, and counts its cost."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from styleid_ray.config import JobConfig
from styleid_ray.planning import (
    Cost,
    Pace,
    Plan,
    estimate,
    name_pairs,
    plan_digest,
    shard_name,
    shards_of,
    write_parts,
)
from styleid_ray.planning.cost import shard_pictures
from styleid_ray.planning.pace import evaluations
from tests.planning.ids import pair_ids


@pytest.fixture
def config(folder):
    """A job with this many contents and styles, and whatever else is asked for."""

    def make(contents=5, styles=6, **rest) -> JobConfig:
        content = folder("content", [f"c{i:02d}.png" for i in range(contents)])
        style = folder("style", [f"s{i:02d}.png" for i in range(styles)])
        return JobConfig(content=str(content), style=str(style), output="out", **rest)

    return make


def build_plan(config: JobConfig, fingerprint: str, pace: Pace | None = None) -> Plan:
    return name_pairs(config, fingerprint).cut(config, pace or Pace())


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
    asked = config()
    plan = build_plan(asked, "print")
    again = build_plan(asked, "print")
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
def test_several_workers_get_two_shards_each_at_least(config, reuse):
    asked = config(40, 6, pairing="random", styles_per_content=3, reuse=reuse)
    plan, cut = (build_plan(asked, "print", Pace(workers=n)) for n in (1, 4))
    assert cut.shards >= 8 > plan.shards
    assert plan_digest(cut) == plan_digest(plan)


def test_no_shard_lasts_longer_than_ten_minutes_by_the_estimate(config):
    asked = config(40, 20)
    params = asked.style_params.resolved()
    for seconds in (0.01, 0.5, 3.0, 100.0):
        plan = build_plan(asked, "print", Pace(seconds=seconds))
        longest = evaluations(shard_pictures(plan.table), params).max() * seconds
        assert longest <= 600 or plan.shards == plan.pairs


def test_a_job_that_would_fit_one_shard_is_cut_so_that_a_stop_loses_a_tenth(config):
    asked = config(3, 4)
    shards = [build_plan(asked, "print", Pace(seconds=s)).shards for s in (0, 0.001, 0.03, 1)]
    assert shards == [1, 1, 4, 6]


def test_pairs_that_a_run_has_are_left_out_of_what_extends_it(config, folder):
    before = build_plan(config(3, 2, shard_pairs=4), "print")
    folder("content", ["new.png"])
    named = name_pairs(config(3, 2), "print")
    new = named.without(np.array(before.table["pair_id"].to_pylist(), "S32"))
    plan = new.cut(config(3, 2))
    assert plan.table["content"].to_pylist() == ["new.png"] * 2
    assert plan.shards == 1
    ((name, part),) = write_parts(plan, first=7)
    assert re.fullmatch(r"part-00007-[0-9a-f]{8}\.parquet", name)
    assert part.num_rows == 2


def test_a_plan_has_the_version_of_each_picture_that_the_listing_tells(config, tmp_path):
    plan = build_plan(config(2, 2), "print")
    for row in plan.table.to_pylist():
        for role in ("content", "style"):
            status = (tmp_path / role / row[role]).stat()
            assert row[f"{role}_version"] == f"{status.st_size}:{status.st_mtime_ns}"
    (tmp_path / "pairs.csv").write_text("content,style\nc00.png,s00.png\n")
    table = build_plan(config(pairing="table", table=str(tmp_path / "pairs.csv")), "print").table
    assert table["content_version"].to_pylist() == [None]


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


def test_a_content_that_is_seen_in_windows_costs_each_of_them_and_a_style_does_not(config):
    cost = build_plan(config(20, 40, shard_pairs=2048), "print").cost(
        config().style_params.resolved(), windows=9
    )
    assert cost.unet_evaluations == 9 * 20 * 50 + 40 * 50 + 9 * 800 * 49
    assert cost.floor_unet_evaluations == cost.unet_evaluations
    assert cost.naive_unet_evaluations == 800 * (9 * (50 + 49) + 50)


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
    assert [n for n, _ in shards_of(back)] == [n for n, _ in shards_of(plan.table)]
    params = config().style_params.resolved()
    assert estimate(back, params) == plan.cost(params)


def test_a_shard_does_not_carry_the_keys_of_the_whole_plan(config):
    _, table = next(shards_of(build_plan(config(), "print").table))
    assert str(table.schema.field("content").type) == "string"


def test_planning_and_imaging_load_neither_torch_nor_ray():
    code = (
        "import sys, styleid_ray.planning, styleid_ray.imaging\n"
        "assert not {'torch', 'ray', 's3fs'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
