"""Every pairing makes the pairs it promises, the same ones each time."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styleid_ray.config import SourceOptions
from styleid_ray.errors import SourceError
from styleid_ray.planning import assign_shards, make_pairs
from styleid_ray.planning.columns import codes, count_distinct
from styleid_ray.planning.draw import draw_shared_styles, draw_styles, group_shape
from styleid_ray.planning.table import read_table
from tests.unreliable import unreliable


@pytest.fixture
def options(folder):
    """Options with this many contents and styles, and whatever else is asked for."""

    def make(contents=3, styles=2, **rest) -> SourceOptions:
        content = folder("content", [f"c{i:02d}.png" for i in range(contents)])
        style = folder("style", [f"s{i:02d}.png" for i in range(styles)])
        return SourceOptions(**{"content": str(content), "style": str(style), **rest})

    return make


def rows(pairs) -> list[tuple]:
    return [
        tuple(row.values()) for row in pairs.table.select(["content", "style", "k"]).to_pylist()
    ]


def test_cross_pairs_every_content_with_every_style(options):
    pairs = make_pairs(options(2, 2))
    assert rows(pairs) == [
        ("c00.png", "s00.png", 0),
        ("c00.png", "s01.png", 0),
        ("c01.png", "s00.png", 0),
        ("c01.png", "s01.png", 0),
    ]
    assert pairs.table.schema.field("k").type == pa.int32()
    assert pairs.table.schema.field("gamma").type == pa.float64()
    assert pairs.table["temperature"].null_count == 4


def test_zip_pairs_by_order(options):
    assert rows(make_pairs(options(2, 2, pairing="zip"))) == [
        ("c00.png", "s00.png", 0),
        ("c01.png", "s01.png", 0),
    ]


def test_zip_of_unequal_sources_tells_both_counts(options):
    with pytest.raises(SourceError, match=r"3 pictures .*--style has 2"):
        make_pairs(options(3, 2, pairing="zip"))


def test_random_draws_distinct_styles_for_each_content(options):
    asked = options(20, 9, pairing="random", styles_per_content=4, seed=1)
    pairs = rows(make_pairs(asked))
    assert len(pairs) == len(set(pairs)) == 80
    assert set(Counter(content for content, _, _ in pairs).values()) == {4}
    assert pairs == rows(make_pairs(asked))
    assert pairs != rows(make_pairs(asked.model_copy(update={"seed": 2})))


def test_more_contents_leave_the_draws_of_the_others_alone(options):
    ask = {"pairing": "random", "styles_per_content": 3}
    before, after = rows(make_pairs(options(5, 9, **ask))), rows(make_pairs(options(9, 9, **ask)))
    assert set(before) < set(after)


def test_more_styles_than_there_are_cannot_be_drawn(options):
    with pytest.raises(SourceError, match="--styles-per-content 3 is more than the 2"):
        make_pairs(options(3, 2, pairing="random", styles_per_content=3))


def test_random_styles_are_uniform():
    drawn = draw_styles([str(i) for i in range(20_000)], 10, 3, seed=0)
    counts = np.bincount(drawn.reshape(-1), minlength=10)
    assert np.abs(counts - 6000).max() < 300
    assert (np.diff(drawn, axis=1) > 0).all()
    both = np.bincount(drawn[:, 0] * 10 + drawn[:, 1])
    assert (both > 0).sum() >= 36


KEYS = [f"photo {i}.png" for i in range(20_000)]


@pytest.mark.parametrize("count", [1, 4, 20])
def test_reuse_draws_distinct_styles_out_of_the_pool_of_a_contents_group(count):
    drawn, groups = draw_shared_styles(KEYS, 300, count, seed=0)
    assert drawn.shape == (20_000, count)
    assert (np.diff(drawn, axis=1) > 0).all()
    _, pool = group_shape(300, count)
    assert pool == max(14, count)
    for group in range(0, groups.max() + 1, 50):
        assert len(np.unique(drawn[groups == group])) <= pool


def test_reuse_uses_all_styles_about_equally_often():
    for seed in range(5):
        drawn, _ = draw_shared_styles(KEYS, 300, 4, seed)
        counts = np.bincount(drawn.reshape(-1), minlength=300)
        expected = 20_000 * 4 / 300
        assert 0.5 * abs(counts - expected).sum() / 80_000 < 0.09  # total variation distance
        assert counts.min() > 0


def test_over_the_seeds_each_content_meets_every_style_equally_often():
    draws = [draw_shared_styles(KEYS[:200], 20, 2, seed)[0] for seed in range(400)]
    counts = np.stack([np.bincount(d, minlength=20) for d in np.stack(draws, 1).reshape(200, -1)])
    expected = 400 * 2 / 20
    # Two of twenty without replacement: a share of 18/19 of the variance of independent draws.
    statistic = ((counts - expected) ** 2 / expected).sum(axis=1) / (18 / 19)
    # 19 degrees of freedom; chance alone goes past 43.8 once in a thousand.
    assert (statistic > 43.8).mean() < 0.02
    assert 15 < statistic.mean() < 23


def test_with_reuse_one_content_more_changes_the_draws_of_few():
    before, _ = draw_shared_styles(KEYS, 300, 4, seed=0)
    for more in range(1, 60, 7):
        after, _ = draw_shared_styles([*KEYS, *map(str, range(more))], 300, 4, seed=0)
        assert (after[:20_000] != before).any(axis=1).mean() < 0.02


def test_reuse_takes_a_fraction_of_the_inversions(options):
    asked = options(400, 90, pairing="random", styles_per_content=4)
    counts = {}
    for reuse in (False, True):
        pairs = make_pairs(asked.model_copy(update={"reuse": reuse}))
        c, s = (codes(pairs.table[name]) for name in ("content", "style"))
        shards = assign_shards(c, s, 200, None if pairs.groups is None else pairs.groups[c])
        counts[reuse] = count_distinct(shards, c) + count_distinct(shards, s)
    assert counts[False] > 0.6 * 1600
    assert counts[True] < 0.36 * 1600


@pytest.mark.parametrize(("contents", "styles", "count"), [(1, 1, 1), (3, 2, 2), (2, 40, 30)])
def test_reuse_works_with_few_pictures(contents, styles, count):
    drawn, groups = draw_shared_styles(KEYS[:contents], styles, count, seed=5)
    assert drawn.shape == (contents, count)
    assert 0 <= drawn.min() <= drawn.max() < styles
    assert set(groups.tolist()) == {0}


def test_all_styles_can_be_drawn():
    assert draw_styles(["a", "b"], 5, 5, seed=3).tolist() == [[0, 1, 2, 3, 4]] * 2


def write(path, table: list[dict]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    else:
        cells = [list(table[0])] + [
            ["" if v is None else f'"{v}"' for v in row.values()] for row in table
        ]
        path.write_text("".join(",".join(row) + "\n" for row in cells), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_says_the_pairs_their_parameters_and_columns_to_keep(options, tmp_path, kind):
    table = write(
        tmp_path / f"pairs.{kind}",
        [
            {"content": "c01.png", "style": "./s00.png", "gamma": 0.5, "k": 0, "label": 7},
            {"content": "c00.png", "style": "s01.png", "gamma": None, "k": 0, "label": 8},
            {"content": "c00.png", "style": "s01.png", "gamma": None, "k": 1, "label": 9},
        ],
    )
    pairs = make_pairs(options(pairing="table", table=table))
    assert rows(pairs) == [
        ("c01.png", "s00.png", 0),
        ("c00.png", "s01.png", 0),
        ("c00.png", "s01.png", 1),
    ]
    assert pairs.table["gamma"].to_pylist() == [0.5, None, None]
    assert pairs.table["temperature"].null_count == 3
    assert pairs.table["label"].to_pylist() == [7, 8, 9]
    assert pairs.table.schema.field("label").type == pa.int64()
    assert pairs.contents.keys == ("c00.png", "c01.png")
    assert pairs.styles.keys == ("s00.png", "s01.png")


def test_columns_keep_their_arrow_types(options, tmp_path):
    kept = pa.table(
        {
            "content": ["c00.png"],
            "style": ["s00.png"],
            "box": pa.array([[1, 2]], pa.list_(pa.int16())),
            "meta": pa.array([{"a": 1}]),
        }
    )
    pq.write_table(kept, tmp_path / "pairs.parquet")
    pairs = make_pairs(options(pairing="table", table=str(tmp_path / "pairs.parquet")))
    assert pairs.table.schema.field("box").type == pa.list_(pa.int16())
    assert pairs.table["meta"].to_pylist() == [{"a": 1}]


def test_without_folders_names_start_at_the_tables_own_folder(folder):
    root = folder("job", ["in/a.png", "art/b.png"])
    table = write(root / "pairs.csv", [{"content": "in/a.png", "style": "art/b.png"}])
    pairs = make_pairs(SourceOptions(pairing="table", table=table))
    assert pairs.contents.url("in/a.png") == str(root / "in/a.png")


def test_full_urls_and_absolute_paths_are_their_own_keys(folder, bucket, tmp_path):
    local = folder("in", ["a.png"])
    url = bucket(["art/b.png", "art/c [1].png"])
    table = write(
        tmp_path / "pairs.csv",
        [
            {"content": local / "a.png", "style": f"{url}/art/b.png"},
            {"content": local / "a.png", "style": f"{url}/art/c [1].png"},
        ],
    )
    pairs = make_pairs(SourceOptions(pairing="table", table=table))
    assert pairs.contents.keys == (str(local / "a.png"),)
    assert [pairs.styles.url(key) for key in pairs.styles.keys] == list(pairs.styles.keys)


def test_a_table_of_urls_is_planned_without_a_request(s3_endpoint, tmp_path):
    with unreliable(s3_endpoint, share=0) as proxy:
        links = [f"{proxy.address}/{i}.png" for i in range(5)]
        table = write(tmp_path / "pairs.csv", [{"content": u, "style": "s.png"} for u in links])
        options = {"s3": {"endpoint_url": proxy.address}}
        pairs = make_pairs(
            SourceOptions(pairing="table", table=table, style="s3://bucket/art"), options
        )
        assert sum(proxy.counts.values()) == 0
    assert pairs.contents.keys == tuple(links)
    assert pairs.styles.url("s.png") == "s3://bucket/art/s.png"
    assert pairs.styles.versions is None


def test_names_below_a_folder_that_is_not_there_are_refused(options, tmp_path):
    table = write(tmp_path / "pairs.csv", [GOOD])
    nowhere = str(tmp_path / "nowhere")
    for name in ("content", "style"):
        with pytest.raises(SourceError, match=f"--{name}: .*nowhere is not a folder"):
            make_pairs(options(pairing="table", table=table, **{name: nowhere}))


def test_a_table_may_lie_in_a_bucket_beside_its_pictures(bucket):
    url = bucket(["job/a.png", "job/b.png"])
    bucket(["job/pairs.csv"], b"content,style\na.png,b.png\n")
    pairs = make_pairs(SourceOptions(pairing="table", table=f"{url}/job/pairs.csv"))
    assert pairs.contents.url("a.png") == f"{url}/job/a.png"


GOOD = {"content": "c00.png", "style": "s00.png"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            [{"content": "c00.png", "art": "s00.png"}],
            "no column style; its columns: content, art",
        ),
        ([{**GOOD, "pair_id": 1, "model": 2}], "column pair_id, model of its own"),
        ([{**GOOD, "quality": 1, "rejected": 2}], "column quality, rejected of its own; rename it"),
        ([GOOD, {"content": "c01.png", "style": "s00.png"}, GOOD], "rows 1 and 3"),
        ([GOOD, {**GOOD, "content": "./c00.png"}], "rows 1 and 2"),
        ([{**GOOD, "gamma": 0.5}, {**GOOD, "gamma": 1.5}], "row 2: gamma 1.5: .*less than"),
        ([{**GOOD, "gamma": -0.1}], "row 1: gamma -0.1"),
        ([{**GOOD, "temperature": 0.0}], "row 1: temperature 0: .*greater than 0"),
        ([{**GOOD, "gamma": "much"}], "gamma|much"),
        ([{**GOOD, "k": 1.5}], "(column k|to int32)"),
        ([{**GOOD, "k": -1}], "row 1: k is negative"),
        ([GOOD, {**GOOD, "style": ""}], "row 2: style is empty"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_faulty_table_is_refused_before_any_work(options, tmp_path, table, message, kind):
    path = write(tmp_path / f"pairs.{kind}", table)
    with pytest.raises(SourceError, match=message) as caught:
        make_pairs(options(pairing="table", table=path))
    assert "--table" in str(caught.value)


def test_a_parameter_that_is_not_a_number_is_refused(tmp_path):
    table = pa.table({"content": ["a"], "style": ["b"], "gamma": [float("nan")]})
    pq.write_table(table, tmp_path / "pairs.parquet")
    with pytest.raises(SourceError, match="row 1: gamma nan"):
        read_table(str(tmp_path / "pairs.parquet"))


def test_numbers_as_names_stay_as_they_are_written(tmp_path):
    (tmp_path / "pairs.csv").write_text("content,style\n0001,02.50\n")
    assert read_table(str(tmp_path / "pairs.csv")).select(["content", "style"]).to_pylist() == [
        {"content": "0001", "style": "02.50"}
    ]


@pytest.mark.parametrize(
    "name", ["pairs.xlsx", "none.csv", "empty.csv", "header.csv", "bad.parquet"]
)
def test_a_table_that_cannot_be_read_is_a_clear_error(tmp_path, name):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("content,style\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1nonsense")
    with pytest.raises(SourceError, match=name):
        read_table(str(tmp_path / name))


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda t: f"content,style\n{t}".encode())
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory, kind, data):
    path = tmp_path_factory.getbasetemp() / f"fuzz.{kind}"
    path.write_bytes(data)
    with suppress(SourceError):
        assert {"content", "style", "k"} <= set(read_table(str(path)).column_names)
