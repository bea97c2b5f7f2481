"""A file of weights sets the frequency of each style."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.config import SourceOptions
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.planning.pairing import make_pairs
from styleid_ray.planning.style_weights import read_weights

STYLES = ["01.png", "b.png", "deep/c.png"]


def write(path, rows: list[dict]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_styles_that_the_file_lacks_weigh_one(tmp_path, kind):
    rows = [{"style": "./deep/c.png", "weight": 2.5}, {"style": "01.png", "weight": 0}]
    assert read_weights(write(tmp_path / f"w.{kind}", rows), STYLES).tolist() == [0, 1, 2.5]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"style": "x.png", "weight": 1}], "row 1: --style has no picture x.png"),
        ([{"style": "b.png", "weight": -1}], "row 1: weight -1: must be 0 or a positive number"),
        ([{"style": "b.png", "weight": "inf"}], "weight inf"),
        ([{"style": "b.png", "weight": "heavy"}], "is not valid csv: .*heavy"),
        ([{"style": "b.png", "weight": 1}] * 2, "row 2: b.png is named twice"),
        ([{"name": "b.png", "weight": 1}], "no column style; its columns: name, weight"),
    ],
)
def test_weights_that_cannot_be_used_are_one_clear_error(tmp_path, rows, message):
    with pytest.raises(SourceError, match=rf"--style-weights .*{message}"):
        read_weights(write(tmp_path / "w.csv", rows), STYLES)


@pytest.mark.parametrize("name", ["none.csv", "w.txt", "bad.parquet", "bad.jsonl"])
def test_a_file_that_is_no_table_is_one_clear_error(tmp_path, name):
    for bad in ("bad.parquet", "bad.jsonl"):
        (tmp_path / bad).write_bytes(b"PAR1 {")
    with pytest.raises(SourceError, match=f"--style-weights .*{name}"):
        read_weights(str(tmp_path / name), STYLES)


def test_a_line_of_json_that_is_no_object_is_refused_with_its_row(tmp_path):
    (tmp_path / "w.jsonl").write_text('{"style": "b.png", "weight": 1}\nnull\n')
    with pytest.raises(SourceError, match=r"--style-weights .*row 2 is no object: write one"):
        read_weights(str(tmp_path / "w.jsonl"), STYLES)


@pytest.fixture
def paired(folder, tmp_path):
    """How often each style is paired with 400 contents, by these weights."""

    def make(weights: dict[str, float], **options) -> Counter[str]:
        content = folder("content", [f"c{i}.png" for i in range(400)])
        style = folder("style", ["a.png", "b.png", "c.png", "d.png"])
        rows = [{"style": s, "weight": w} for s, w in weights.items()]
        options = {"pairing": "balanced", **options}
        config = SourceOptions(
            content=str(content),
            style=str(style),
            style_weights=write(tmp_path / "w.csv", rows),
            **options,
        )
        return Counter(make_pairs(config).table["style"].to_pylist())

    return make


def test_balanced_uses_styles_in_proportion(paired):
    counts = paired({"a.png": 0, "b.png": 3})
    assert counts == {"b.png": 240, "c.png": 80, "d.png": 80}


def test_random_draws_styles_in_proportion(paired):
    counts = paired({"a.png": 0, "b.png": 3}, pairing="random")
    assert set(counts) == {"b.png", "c.png", "d.png"}
    assert 200 < counts["b.png"] < 280


def test_weights_of_styles_that_are_held_out_are_no_error(paired):
    kept = paired({"a.png": 2, "b.png": 2, "c.png": 2, "d.png": 2}, style_share="0..0.5")
    assert 0 < len(kept) < 4


def test_fewer_styles_with_a_weight_than_each_content_gets_are_refused(paired):
    none = {"a.png": 0, "b.png": 0, "c.png": 0, "d.png": 0}
    with pytest.raises(SourceError, match="--style-weights: 0 styles have a weight above 0"):
        paired(none)
    with pytest.raises(SourceError, match=r"1 styles have .* --styles-per-content 2: give more"):
        paired(none | {"a.png": 1}, styles_per_content=2, pairing="random")


def test_weights_beside_reuse_are_refused(paired):
    with pytest.raises(ConfigError, match="--style-weights has no effect with --reuse"):
        paired({"a.png": 2}, pairing="random", styles_per_content=2, reuse=True)
