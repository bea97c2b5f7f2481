"""The page's part from an evaluation: complete, partial, damaged or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.evaluation.outcome import PAIRS_FILE, SUMMARY_FILE
from styleid_ray.report.evaluation import read_metrics, read_scores

WHOLE = {
    "fid": 18.131,
    "lpips": 0.5055,
    "lpips_gray": 0.41,
    "cfsd": 0.2281,
    "artfid": 28.801,
    "histogram_loss": 0.2,
    "pairs": 800,
    "contents": 20,
    "styles": 40,
    "missing": {},
    "unreadable": {},
    "weights": {},
    "counts": {},
}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path))


def evaluated(output: Output, **changes: Any) -> Output:
    output.write(SUMMARY_FILE, json.dumps(WHOLE | changes).encode())
    return output


def test_style_and_content_metrics_stand_before_their_product(output: Output) -> None:
    found = read_metrics(evaluated(output), 800)
    assert [(name, [*figures]) for name, figures in found.groups] == [
        ("Style", ["FID", "histogram loss"]),
        ("Content", ["LPIPS", "LPIPS, grey", "CFSD"]),
        ("Product of both", ["ArtFID"]),
    ]
    assert found.groups[2][1]["ArtFID"] == "28.801"
    assert found.about == "800 pairs: 20 contents, 40 styles. Lower is better."


def test_a_metric_that_was_not_computed_has_its_reason(output: Output) -> None:
    reason = "no weights at s3://me:hunter2@bucket/w?sig=1"
    missing = {"fid": reason, "cfsd": "too large", "artfid": "too large"}
    evaluated(output, missing=missing, **dict.fromkeys(missing))
    found = read_metrics(output, 800)
    values = {label: value for _, row in found.groups for label, value in row.items()}
    assert values["FID"] == values["ArtFID"] == values["CFSD"] == ""
    (reason, fid), other = found.missing.items()
    assert fid == "FID"
    assert reason.startswith("no weights at s3://")
    assert "hunter2" not in reason
    assert other == ("too large", "CFSD, ArtFID")


def test_an_evaluation_of_fewer_pairs_says_so(output: Output) -> None:
    about = read_metrics(evaluated(output), 1000).about
    assert about.startswith("800 of 1,000 finished pairs")
    assert "Run styleid-ray evaluate again" in about
    unread = evaluated(output, unreadable={"content": {"pictures": 1, "example": "x"}})
    assert "could not be read" in read_metrics(unread, 1000).about


@pytest.mark.parametrize(
    ("changes", "size", "beside"),
    [({}, 512, True), ({}, 256, False), ({"contents": 21}, 512, False), ({"pairs": 8}, 512, False)],
)
def test_published_figures_stand_only_beside_a_run_with_the_same_counts(
    output: Output, changes: dict[str, Any], size: int, beside: bool
) -> None:
    rows = read_metrics(evaluated(output, **changes, size=size), 800).published
    assert bool(rows) == beside
    if beside:
        own = next(row for row in rows if not row[-1])
        assert own == ["this run", "28.801", "18.131", "0.5055", "0.2281", ""]
        assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)


def test_a_run_that_was_not_evaluated_has_nothing(output: Output) -> None:
    assert not read_metrics(output, 1).groups
    assert not read_scores(output, {"a"}).of_pair


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff", b'{"pairs": true}'])
def test_a_damaged_evaluation_says_what_to_run(output: Output, data: bytes) -> None:
    output.write(SUMMARY_FILE, data)
    output.write(PAIRS_FILE, data)
    assert "run styleid-ray evaluate again" in read_metrics(output, 1).about
    assert "run styleid-ray evaluate again" in read_scores(output, set()).note


def test_metrics_are_counted_over_all_pairs_and_kept_for_the_shown_ones(
    output: Output,
) -> None:
    table = {"pair_id": ["a", "b", "c"], "lpips": [0.1, 0.2, None], "cfsd": [None, None, None]}
    output.write_table(PAIRS_FILE, pa.table(table))
    found = read_scores(output, {"b", "c", "d"})
    counts = {spread.measure.name: spread.count for spread in found.spreads}
    assert counts == {"lpips": 2, "lpips_gray": 0, "cfsd": 0, "histogram_loss": 0}
    assert found.of_pair == {"b": {"lpips": 0.2, "cfsd": None}, "c": {"lpips": None, "cfsd": None}}


def test_a_metric_without_bound_is_drawn_up_to_its_greatest_value(output: Output) -> None:
    ids, values = [str(n) for n in range(5)], [1.0, 4.0, 20.0, 30.0, 64.0]
    output.write_table(PAIRS_FILE, pa.table({"pair_id": ids, "cfsd": values}))
    (cfsd,) = (s for s in read_scores(output, set()).spreads if s.measure.name == "cfsd")
    assert cfsd.quantile(50) == pytest.approx(20, abs=0.01)
    bars = cfsd.bars()
    assert (sum(bars.counts), bars.counts[-1]) == (5, 1)
    assert bars.high >= 64
