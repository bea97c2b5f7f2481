"""Exports under a rule: rejected pairs are left out or marked, and what changes is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.batch.export.target import ExportStore
from styleid_ray.batch.folder.output import PLAN, REMADE
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.run import retry
from styleid_ray.errors import ConfigError, JobError
from styleid_ray.quality.columns import MEASURES, quality_type
from tests.batch.conftest import draw
from tests.batch.export.conftest import Run

BLANK = "blank>0.9"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three contents with two styles; the pair of a.png and s.png is blank."""
    folder = tmp_path_factory.mktemp("rejected")
    for seed, name in enumerate("abc"):
        draw(folder / "content" / f"{name}.png", seed)
    for seed, name in enumerate("st"):
        draw(folder / "style" / f"{name}.png", 10 + seed)
    options: dict[str, Any] = {"model": "demo", "size": 64, "steps": 2, "shard_pairs": 2}
    sources = {name: str(folder / name) for name in ("content", "style")}
    run = Run(folder, False, **options, **sources).stylize()
    measured(run, lambda row: (row["content"], row["style"]) == BAD)
    return run


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    """A copy of the made run."""
    shutil.copytree(made.output, tmp_path / "run")
    return Run(tmp_path, False, **made.options)


def measured(run: Run, is_blank: Callable[[dict[str, Any]], bool], mark: bytes = b"") -> None:
    """Sets the quality columns of a run's rows to those of other pictures."""
    for file in Path(run.output, "data").iterdir():
        table = pq.read_table(file)
        rows = table.select(["content", "style"]).to_pylist()
        values = [dict.fromkeys(MEASURES, 0.5) | {"blank": float(is_blank(row))} for row in rows]
        at = table.schema.get_field_index("quality")
        table = table.set_column(at, "quality", pa.array(values, quality_type()))
        metadata = {**(table.schema.metadata or {}), **({REMADE: mark} if mark else {})}
        pq.write_table(table.replace_schema_metadata(metadata), file, row_group_size=16)


def lines_of(run: Run) -> list[dict[str, Any]]:
    text = (run.to / "metadata.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def pairs(run: Run) -> set[tuple[str, str]]:
    return {(row["content"], row["style"]) for row in lines_of(run)}


ALL = {(content, style) for content in ("a.png", "b.png", "c.png") for style in ("s.png", "t.png")}
BAD = ("a.png", "s.png")


def test_rejected_pairs_are_left_out_and_counted(run: Run) -> None:
    made = run.export("imagefolder", reject=BLANK)
    assert pairs(run) == ALL - {BAD}
    assert (made.stylised, made.rejected, made.done) == (5, 1, 6)
    assert "left out: 1 pair, rejected by blank>0.9" in made.lines()
    assert len([*run.to.glob("**/*.png")]) == 5


def test_an_export_says_which_measures_of_a_rule_have_no_value(run: Run) -> None:
    for file in Path(run.output, "data").iterdir():
        table = pq.read_table(file)
        column = table.column_names.index("quality")
        nothing = pa.nulls(table.num_rows, quality_type())
        table = table.set_column(column, table.field(column), nothing)
        pq.write_table(table, file, row_group_size=16)
    made = run.export("imagefolder", reject=BLANK)
    assert made.rejected == 0
    assert any(line.startswith("no pair has a value of blank") for line in made.lines())


def test_without_a_rule_nothing_is_left_out(run: Run) -> None:
    made = run.export("imagefolder")
    assert (made.stylised, made.reject, pairs(run)) == (6, None, ALL)


def test_marked_pairs_are_kept_with_a_column_that_says_so(run: Run) -> None:
    made = run.export("imagefolder", reject=BLANK, mark_rejected=True)
    assert {(r["content"], r["style"]): r["rejected"] for r in lines_of(run)} == {
        pair: pair == BAD for pair in ALL
    }
    assert (made.stylised, made.rejected, made.marked) == (6, 1, True)
    run.export("parquet", reject=BLANK, mark_rejected=True, mix=2.0)
    rows = pq.read_table(run.to / "data").to_pylist()
    assert {row["rejected"] for row in rows if row["original"]} == {False}
    assert sum(row["rejected"] for row in rows) == 1


def test_a_rule_of_the_command_replaces_the_rule_of_the_run(tmp_path: Path, run: Run) -> None:
    record = Path(run.output, "_run", "config.yaml")
    record.write_text(record.read_text().replace("reject: null", f"reject: {BLANK}"))
    assert run.export("imagefolder").stylised == 5
    assert run.export("imagefolder", tmp_path / "other", reject="blank>2").stylised == 6


def test_an_export_under_another_rule_is_refused_in_the_same_place(run: Run) -> None:
    run.export("imagefolder", reject=BLANK)
    for options in ({"reject": "blank>0.95"}, {}, {"reject": BLANK, "mark_rejected": True}):
        with pytest.raises(ConfigError, match="with other options"):
            run.export("imagefolder", **options)
    assert run.export("imagefolder", reject=" blank > .9").stylised == 5
    assert "nothing to do" in run.messages.getvalue()


def test_remade_pairs_are_exported_again(run: Run) -> None:
    first = run.export("imagefolder", reject=BLANK)
    measured(run, lambda row: False, b"1")
    second = run.export("imagefolder", reject=BLANK)
    assert (first.stylised, second.stylised, pairs(run)) == (5, 6, ALL)
    assert "nothing to do" not in run.messages.getvalue()


def test_new_pictures_of_the_same_pairs_are_noticed_without_a_rule(run: Run) -> None:
    first = run.export("imagefolder")
    measured(run, lambda row: False, b"1")
    second = run.export("imagefolder")
    assert first.digest != second.digest
    assert run.export("imagefolder").digest == second.digest
    assert run.messages.getvalue().count("nothing to do") == 1


def test_an_export_with_newly_rejected_pairs_is_not_extended(run: Run) -> None:
    run.export("imagefolder", reject=BLANK)
    measured(run, lambda row: row["content"] == "a.png", b"1")
    with pytest.raises(ConfigError, match=r"holds pairs that blank>0\.9 now rejects: name ano"):
        run.export("imagefolder", reject=BLANK)


@pytest.mark.parametrize("cut_off", [False, True])
def test_an_equal_number_of_rejected_pairs_is_not_taken_for_the_same_pairs(
    run: Run, monkeypatch: pytest.MonkeyPatch, cut_off: bool
) -> None:
    with monkeypatch.context() as patch:
        if cut_off:
            patch.setattr(ExportStore, "finish", Mock(side_effect=KeyboardInterrupt))
        with suppress(KeyboardInterrupt):
            run.export("imagefolder", reject=BLANK)
    measured(run, lambda row: (row["content"], row["style"]) == ("b.png", "t.png"), b"1")
    with pytest.raises(ConfigError, match="holds pairs that"):
        run.export("imagefolder", reject=BLANK)


def test_the_export_at_the_end_of_a_retry_uses_the_rule_of_the_run(run: Run) -> None:
    ends = stored_job(run.output, {"export": "imagefolder", "reject": "blank>0.3"})
    assert run.export("imagefolder", Path(run.output, "export", "imagefolder")).stylised == 6
    retry(ends, run.messages)
    assert "nothing to do" in run.messages.getvalue()


def test_the_card_names_the_rule_and_the_number_of_excluded_pairs(run: Run) -> None:
    run.export("imagefolder", reject=BLANK)
    assert "| left out by blank\\>0.9 | 1 |" in (run.to / "README.md").read_text()
    run.export("webdataset", reject=BLANK, mark_rejected=True)
    assert "| marked as rejected by blank\\>0.9 | 1 |" in (run.to / "README.md").read_text()


def test_a_mark_beside_a_column_of_that_name_in_the_table_of_pairs_is_refused(run: Run) -> None:
    for part in Path(run.output, PLAN).glob("*.parquet"):
        table = pq.read_table(part)
        pq.write_table(table.append_column("rejected", pa.array(["no"] * len(table))), part)
    with pytest.raises(ConfigError, match="table of pairs have a column rejected"):
        run.export("imagefolder", reject=BLANK, mark_rejected=True)


def test_originals_are_mixed_by_the_pairs_that_are_exported(run: Run) -> None:
    measured(run, lambda row: row["content"] != "c.png")
    run.export("imagefolder", reject=BLANK, mix=1.0)
    assert {row["content"] for row in lines_of(run) if row["original"]} == {"c.png"}


def test_contents_with_rejected_pairs_are_not_listed_as_failed(run: Run) -> None:
    measured(run, lambda row: row["content"] == "a.png")
    made = run.export("imagefolder", reject=BLANK)
    assert (made.failed, made.stylised) == ([], 4)


def test_a_rule_that_rejects_all_and_a_mark_without_a_rule_are_refused(run: Run) -> None:
    with pytest.raises(JobError, match="blank>=0 rejects every finished pair"):
        run.export("imagefolder", reject="blank>=0")
    with pytest.raises(ConfigError, match="--mark-rejected needs a rule"):
        run.export("imagefolder", mark_rejected=True)
    with pytest.raises(ConfigError, match="--reject 'blonk>1': there is no measure"):
        run.export("imagefolder", reject="blonk>1")
