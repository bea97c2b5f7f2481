"""A table may name several styles per picture: to interpolate them, or one per region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.planning import (
    Plan,
    estimate,
    name_pairs,
    packed,
    shards_of,
    write_parts,
)
from styleid_ray.planning.cost import shard_pictures
from styleid_ray.planning.further_styles import parse_region_styles
from styleid_ray.planning.pairs_file import save_pairs
from tests.planning.ids import pair_ids


@pytest.fixture
def table(folder, tmp_path: Path):
    """A job of the pairs in this CSV."""
    content = folder("content", [f"c{i}.png" for i in range(9)])
    style = folder("style", [f"s{i}.png" for i in range(9)])
    masks = folder("masks", [f"c{i}.png" for i in range(9)])

    def make(text: str, **rest: Any) -> JobConfig:
        (tmp_path / "pairs.csv").write_text(text)
        asked = {"content": str(content), "style": str(style), "output": "out"}
        if "region_styles" in rest:
            asked["label_masks"] = str(masks)
        return JobConfig(pairing="table", table=str(tmp_path / "pairs.csv"), **asked | rest)

    return make


def plan_of(config: JobConfig) -> Plan:
    return name_pairs(config, "print").cut(config)


def by_content(config: JobConfig) -> dict[str, dict[str, Any]]:
    return {row["content"]: row for row in plan_of(config).table.to_pylist()}


MIX = """content,style,style2,weight
c0.png,s0.png,./s5.png,0.25
c1.png,s5.png,,
c2.png,s1.png,s2.png,
"""
REGIONS = "content,style,style2,style3\nc0.png,s0.png,s1.png,s2.png\nc1.png,s0.png,s2.png,s3.png\n"


def test_two_styles_are_interpolated_by_the_weight_of_the_second(table) -> None:
    rows = by_content(table(MIX))
    assert [rows[f"c{i}.png"]["style2"] for i in range(3)] == ["s5.png", None, "s2.png"]
    assert [rows[f"c{i}.png"]["weight"] for i in range(3)] == [0.25, None, 0.5]
    assert rows["c0.png"]["style2_version"] is rows["c0.png"]["style2_place"] is None
    plan = plan_of(table(MIX))
    assert list(plan.styles.keys) == ["s0.png", "s1.png", "s2.png", "s5.png"]
    assert pa.types.is_dictionary(plan.table.schema.field("style2").type)
    ((_, part),) = write_parts(plan)
    assert part.schema.field("style2").type == pa.string()


def test_a_row_of_one_style_has_the_id_that_it_has_in_any_table(table) -> None:
    rows = by_content(table(MIX))
    ids = pair_ids(["c1.png", "c0.png"], ["s5.png", "s0.png"], [0, 0], None, None, "print")
    assert rows["c1.png"]["pair_id"] == ids[0]
    assert rows["c0.png"]["pair_id"] != ids[1]


def test_each_further_style_and_weight_makes_another_id(table) -> None:
    texts = [MIX, MIX.replace("s5.png,0.25", "s6.png,0.25"), MIX.replace("0.25", "0.3")]
    ids = {by_content(table(text))["c0.png"]["pair_id"] for text in texts}
    regions = table(REGIONS, region_styles="1=style2,7=style3")
    ids |= {row["pair_id"] for row in by_content(regions).values()}
    swapped = table(
        REGIONS.replace("s1.png,s2.png", "s2.png,s1.png"), region_styles="1=style2,7=style3"
    )
    ids.add(by_content(swapped)["c0.png"]["pair_id"])
    assert len(ids) == 3 + 2 + 1


def test_no_weight_is_a_half(table) -> None:
    given, left_out = (
        by_content(table(f"content,style,style2{more}\n"))["c0.png"]
        for more in (",weight\nc0.png,s0.png,s1.png,0.5", "\nc0.png,s0.png,s1.png")
    )
    assert given == left_out
    with pytest.raises(SourceError, match="same pair more than once: rows 3 and 4"):
        plan_of(table(f"{MIX}c2.png,s1.png,s2.png,0.5\n"))


def test_a_table_without_further_styles_keeps_a_column_weight_as_it_is(table) -> None:
    rows = by_content(table("content,style,weight\nc0.png,s0.png,7kg\n"))
    assert rows["c0.png"]["weight"] == "7kg"
    assert "style2" not in rows["c0.png"]


def test_columns_that_name_no_style_are_those_of_a_plain_table(table) -> None:
    plain = plan_of(table("content,style\nc0.png,s0.png\n")).table
    assert plan_of(table("content,style,style2,weight\nc0.png,s0.png,,\n")).table.equals(plain)


def test_the_inversions_of_all_styles_are_counted_once_per_shard(table) -> None:
    asked = table(MIX)
    plan, params = plan_of(asked), asked.style_params.resolved()
    cost = plan.cost(params)
    assert (cost.pairs, cost.contents, cost.styles, cost.style_inversions) == (3, 3, 4, 4)
    assert cost.unet_evaluations == 7 * 50 + 3 * 49
    assert cost.naive_unet_evaluations == (3 + 5) * 50 + 3 * 49
    assert shard_pictures(plan.table).tolist() == [[3, 4, 3]]
    ((_, stored),) = write_parts(plan)
    assert estimate(stored, params) == cost
    asked = table(REGIONS, region_styles="1=style2,7=style3")
    assert plan_of(asked).cost(params).style_inversions == 4


def test_shards_keep_to_the_bound_of_pictures_with_all_their_styles(table) -> None:
    rows = "".join(f"c{i}.png,s{i}.png,s{(i + 3) % 9}.png\n" for i in range(9))
    asked = table(f"content,style,style2\n{rows}", size=4096)  # at most four pictures
    plan = plan_of(asked)
    counts = shard_pictures(plan.table)
    assert counts[:, :2].sum(axis=1).max() <= 4
    together = list(packed(plan.table, 200, 6))
    assert sum(len(names) for names, _ in together) == plan.shards
    for names, part in together:
        styles = {*part["style"].to_pylist(), *part["style2"].to_pylist()}
        assert len(names) == 1 or len(styles) + part.num_rows <= 6
    assert all(shard.num_rows for _, shard in shards_of(plan.table))


def test_full_urls_with_secrets_of_all_columns_are_kept_apart_from_the_keys(tmp_path) -> None:
    (tmp_path / "pairs.csv").write_text(
        "content,style,style2\nc0.png,https://a.example/s0.png,https://a.example/s1.png?sig=1\n"
    )
    asked = JobConfig(pairing="table", table=str(tmp_path / "pairs.csv"), output="out")
    plan = plan_of(asked)
    assert plan.table["style2"].to_pylist() == ["https://a.example/s1.png"]
    assert plan.styles.url("https://a.example/s1.png").endswith("?sig=1")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_saved_pairs_have_their_styles_and_weights(table, tmp_path: Path, kind: str) -> None:
    asked = table(MIX, gamma="0.3,0.6")
    before = name_pairs(asked, "print")
    file = str(tmp_path / f"saved.{kind}")
    save_pairs(before.pairs.table, file)
    again = name_pairs(asked.model_copy(update={"table": file, "gamma": None}), "print")
    assert again.ids.tolist() == before.ids.tolist()


def test_variants_share_all_styles_of_their_pair(table) -> None:
    one, four = table(MIX), table(MIX, gamma="0.5..0.9", variants=4)
    params = one.style_params.resolved()
    single, several = (plan_of(asked).cost(params) for asked in (one, four))
    assert (several.pairs, several.style_inversions) == (12, single.style_inversions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c0.png,s0.png,,s1.png,", "row 2: style3 is given without style2: fill style2 first"),
        ("c0.png,s0.png,s0.png,,", "row 2: style2 is the picture of style again"),
        ("c0.png,s0.png,s1.png,s2.png,", "row 2: style3 needs --region-styles"),
        ("c0.png,s0.png,s1.png,,0", r"row 2: weight 0 is the share of style2 and must be between"),
        ("c0.png,s0.png,s1.png,,1", r"row 2: weight 1 .*leave style2 empty"),
        ("c0.png,s0.png,s1.png,,-0.5", "row 2: weight -0.5"),
        ("c0.png,s0.png,s1.png,,inf", "row 2: weight inf"),
        ("c0.png,s0.png,s1.png,,much", "much|weight"),
        ("c0.png,s0.png,,,0.5", "row 2: weight is given without style2: fill style2 first"),
    ],
)
def test_styles_that_make_no_picture_are_refused_with_their_row(table, text, message) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        plan_of(table(f"content,style,style2,style3,weight\nc1.png,s1.png,s2.png,,0.5\n{text}\n"))
    assert "--table" in str(caught.value)


@pytest.mark.parametrize(
    ("regions", "text", "message"),
    [
        ("1=style2,7=style3", "c2.png,s0.png,s1.png,", "row 3: class 7 is without a style"),
        ("1=style2,7=style4", "", "has no column style4, which --region-styles names"),
        ("1=style2", "", "no class of --region-styles has the column style3"),
        (
            "1=style2,7=style3",
            "c2.png,s0.png,s0.png,s1.png",
            "row 3: style2 is the picture of style again",
        ),
    ],
)
def test_regions_without_a_style_are_refused(table, regions, text, message) -> None:
    with pytest.raises(SourceError, match=message):
        plan_of(table(f"{REGIONS}{text}\n", region_styles=regions))


def test_regions_take_no_weights_and_need_label_masks(table, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="weight has no effect with --region-styles"):
        plan_of(table(MIX, region_styles="1=style2"))
    asked = table(REGIONS, region_styles="1=style2,7=style3")
    with pytest.raises(ConfigError, match="--region-styles needs --label-masks"):
        plan_of(asked.model_copy(update={"label_masks": None}))


def test_columns_of_parquet_are_checked_for_their_types(table, tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    row = {"content": ["c0.png"], "style": ["s0.png"], "style2": ["s1.png"]}
    asked = table(MIX).model_copy(update={"table": str(file)})
    for column, values in (("style2", [3]), ("weight", [[0.5]]), ("style2_version", ["x"])):
        pq.write_table(pa.table({**row, column: values}), file)
        with pytest.raises(SourceError, match=f"column {column}"):
            plan_of(asked)


def test_region_styles_give_each_class_a_column_and_may_share_one() -> None:
    assert parse_region_styles("1=style2, 7=style3") == {1: "style2", 7: "style3"}
    assert parse_region_styles("0=style2,255=style2") == {0: "style2", 255: "style2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be classes, 0 to 255"),
        ("style2", "must be classes, 0 to 255"),
        ("256=style2", "must be classes, 0 to 255"),
        ("-1=style2", "must be classes, 0 to 255"),
        ("1=style2,", "must be classes, 0 to 255"),
        ("1=style", "style is none of style2 to style9"),
        ("1=art", "art is none of style2 to style9"),
        ("1=style10", "style10 is none of"),
        ("1=style2,1=style3", "class 1 is named twice"),
        ("1=style2,01=style3", "class 1 is named twice"),
    ],
)
def test_a_malformed_text_of_region_styles_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"--region-styles '{text}': {message}"):
        parse_region_styles(text)
