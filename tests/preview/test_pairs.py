"""The choice of a preview's pairs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from styleid_ray.config import JobConfig, Pairing
from styleid_ray.errors import ConfigError, JobError, SourceError
from styleid_ray.planning.pairing import make_pairs
from styleid_ray.preview.pairs import Chosen, choose, cyclic_pairs, spread
from tests.batch.conftest import draw


def test_pictures_are_spread_evenly_over_the_listing() -> None:
    assert spread(100, 4) == [0, 33, 66, 99]
    assert spread(3, 4) == [0, 1, 2]
    assert spread(9, 1) == [0]


def test_another_seed_shows_other_pictures_spread_over_the_listing() -> None:
    drawn = spread(100, 4, seed=1)
    assert drawn == spread(100, 4, seed=1) != spread(100, 4, seed=2)
    assert [at // 25 for at in drawn] == [0, 1, 2, 3]


def test_pairs_take_both_sides_in_turn_and_never_repeat() -> None:
    assert cyclic_pairs(4, 4, 4) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert cyclic_pairs(2, 2, 4) == [(0, 0), (1, 1), (0, 1), (1, 0)]
    for contents, styles in itertools.product(range(1, 7), repeat=2):
        pairs = cyclic_pairs(contents, styles, 24)
        assert len(set(pairs)) == len(pairs) == min(24, contents * styles)


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    for number in range(4):
        draw(tmp_path / "content" / f"{number % 2}" / f"{number}.png", number)
        draw(tmp_path / "style" / f"{number % 2}" / f"{number}.png", 10 + number)
        classes = tmp_path / "classes" / f"{number % 2}" / f"{number}.png"
        classes.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (80, 72), 7).save(classes)
    places = {what: str(tmp_path / what) for what in ("content", "style")}
    return {**places, "output": "-", "size": 64}


def from_table(
    sources: dict[str, Any], tmp_path: Path, rows: str, count: int = 4, **more: Any
) -> Chosen:
    table = tmp_path / "pairs.csv"
    table.write_text(rows)
    return choose(JobConfig(**sources, pairing="table", table=str(table), **more), count, 8)


def test_chosen_rows_are_spread_over_the_table_from_first_to_last(
    sources: dict[str, Any], tmp_path: Path
) -> None:
    rows = "".join(f"{c % 2}/{c}.png,{s % 2}/{s}.png\n" for c in range(4) for s in range(4))
    chosen = from_table(sources, tmp_path, "content,style\n" + rows, 3)
    shown = [(pair.recipe.content, pair.recipe.styles) for pair in chosen.pairs]
    assert shown[0] == ("0/0.png", ("0/0.png",))
    assert shown[-1] == ("1/3.png", ("1/3.png",))
    assert len(shown) == 3
    assert len(chosen.pictures) < 8


def test_a_row_keeps_the_values_that_its_table_gives(
    sources: dict[str, Any], tmp_path: Path
) -> None:
    rows = "content,style,gamma,temperature\n0/0.png,0/0.png,0.4,\n1/1.png,0/0.png,,\n"
    one, other = from_table(sources, tmp_path, rows, gamma=0.9).pairs
    base = JobConfig(**sources, gamma=0.9, temperature=2).style_params
    assert (one.params(base).gamma, one.params(base).temperature) == (0.4, 2)
    assert other.params(base) == base
    assert (one.own_line, other.own_line) == ("gamma 0.4 (table)", "")


def test_styles_are_named_with_their_shares(sources: dict[str, Any], tmp_path: Path) -> None:
    rows = "content,style,style2,weight\n0/0.png,0/0.png,1/1.png,0.3\n1/1.png,0/0.png,,\n"
    chosen = from_table(sources, tmp_path, rows)
    config = JobConfig(**sources)
    assert [pair.parts(config) for pair in chosen.pairs] == [["70 %", "30 %"], [""]]
    assert [len(pair.pictures) for pair in chosen.pairs] == [3, 2]


def test_styles_of_regions_are_named_with_their_classes(
    sources: dict[str, Any], tmp_path: Path
) -> None:
    rows = "content,style,style2,style3\n0/0.png,0/0.png,1/1.png,0/2.png\n"
    options = {
        "region_styles": "1=style3,7=style2,9=style3",
        "label_masks": str(tmp_path / "classes"),
    }
    chosen = from_table(sources, tmp_path, rows, **options)
    config = JobConfig(**sources, pairing="table", table="t.csv", **options)
    assert chosen.pairs[0].parts(config) == ["others", "classes 1, 9", "class 7"]
    regions = chosen.pictures["content", "0/0.png"].masks["label_map"]
    assert regions.getextrema() == (2, 2)


@pytest.mark.parametrize("pairing", ["zip", "random", "balanced", "by-class", "nearest"])
def test_other_pairings_show_pairs_of_the_plan(sources: dict[str, Any], pairing: Pairing) -> None:
    config = JobConfig(**sources, pairing=pairing, seed=3)
    planned = make_pairs(config).table.select(["content", "style"]).to_pylist()
    chosen = choose(config, 24, 8).pairs
    shown = [{"content": p.recipe.content, "style": p.recipe.styles[0]} for p in chosen]
    assert shown == planned


def test_a_style_that_is_held_out_is_not_shown(sources: dict[str, Any]) -> None:
    shown = [
        {
            key
            for role, key in choose(JobConfig(**sources, style_share=share), 24, 8).pictures
            if role == "style"
        }
        for share in ("0..0.5", "0.5..1")
    ]
    assert not shown[0] & shown[1]
    assert len(shown[0] | shown[1]) == 4


def test_a_pair_with_an_unreadable_style_is_left_out_with_a_line(
    sources: dict[str, Any], tmp_path: Path
) -> None:
    rows = "content,style,style2\n0/0.png,0/0.png,none.png\n1/1.png,0/0.png,\n"
    chosen = from_table(sources, tmp_path, rows)
    assert [pair.recipe.content for pair in chosen.pairs] == ["1/1.png"]
    assert len(chosen.unread) == 1
    assert chosen.unread[0].startswith("style none.png: ")


@pytest.mark.parametrize(
    ("rows", "more", "kind", "message"),
    [
        ("content,style\nno.png,0/0.png\n", {}, SourceError, "--pairing table: none of the pairs"),
        ("content,style,style2,weight\n0/0.png,0/0.png,1/1.png,2\n", {}, SourceError, "weight 2"),
        (
            "content,style\n0/0.png,0/0.png\n",
            {"region_styles": "1=style2"},
            ConfigError,
            "--label-masks",
        ),
    ],
)
def test_a_wrong_table_is_refused_as_stylize_does(
    sources: dict[str, Any],
    tmp_path: Path,
    rows: str,
    more: dict[str, Any],
    kind: type[JobError],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        from_table(sources, tmp_path, rows, **more)
