"""A table may name the mask of a content; else it follows from the content's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from styleid_ray.config import JobConfig
from styleid_ray.errors import SourceError
from styleid_ray.planning import Plan, name_pairs
from styleid_ray.planning.mask_names import mask_names
from styleid_ray.planning.pairs_file import save_pairs

NAMED = "content,style,mask\na.png,s.png,people/1.png\nb.png,s.png,\na.png,t.png,people/1.png\n"


@pytest.fixture
def table(folder, tmp_path: Path):
    """A job with masks of the pairs in this CSV."""
    folder("content", ["a.png", "b.png"])
    folder("style", ["s.png", "t.png"])

    def make(text: str, **rest: Any) -> JobConfig:
        (tmp_path / "pairs.csv").write_text(text)
        sources = {name: str(tmp_path / name) for name in ("content", "style", "masks")}
        asked = sources | {"output": "out", "table": str(tmp_path / "pairs.csv")}
        return JobConfig(pairing="table", **asked | rest)

    return make


def plan_of(config: JobConfig) -> Plan:
    return name_pairs(config, "print").cut(config)


def test_the_plan_names_the_mask_of_each_content_that_the_table_gives_one(table) -> None:
    rows = plan_of(table(NAMED)).table.to_pylist()
    named = {(row["content"], row["style"]): row["content_mask"] for row in rows}
    assert named == {
        ("a.png", "s.png"): "people/1.png",
        ("a.png", "t.png"): "people/1.png",
        ("b.png", "s.png"): None,
    }
    assert "mask" not in rows[0]
    assert mask_names(name_pairs(table(NAMED), "print").pairs) == ["people/1.png", "b.png"]


def test_another_mask_is_another_picture_and_none_is_the_same_as_no_column(table) -> None:
    def ids(text: str) -> dict[tuple[str, str], str]:
        rows = plan_of(table(text)).table.to_pylist()
        return {(row["content"], row["style"]): row["pair_id"] for row in rows}

    before, named = ids("content,style\na.png,s.png\nb.png,s.png\na.png,t.png\n"), ids(NAMED)
    assert before["b.png", "s.png"] == named["b.png", "s.png"]
    assert before["a.png", "s.png"] != named["a.png", "s.png"]
    assert named != ids(NAMED.replace("people/1", "people/2"))


def test_without_masks_the_column_is_one_of_the_tables_own(table) -> None:
    (first, *_) = plan_of(table(NAMED, masks=None)).table.to_pylist()
    assert first["mask"] == "people/1.png"
    assert "content_mask" not in first


def test_saved_pairs_name_masks_as_the_table_did(table, tmp_path: Path) -> None:
    save_pairs(name_pairs(table(NAMED), "print").pairs.table, str(tmp_path / "saved.parquet"))
    saved = pq.read_table(tmp_path / "saved.parquet")
    assert saved["mask"].to_pylist() == ["people/1.png", None, "people/1.png"]


def test_two_masks_for_one_content_are_refused(table) -> None:
    with pytest.raises(SourceError, match="column mask has two masks for one content"):
        plan_of(table(NAMED.replace("t.png,people/1.png", "t.png,people/2.png")))
