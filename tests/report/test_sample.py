"""The sample of a large run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.report.sample import Sample, choose

Key = tuple[str, str]


def write(output: Output, pairs: list[Key], per_file: int = 50) -> None:
    for start in range(0, len(pairs), per_file):
        part = pairs[start : start + per_file]
        table = pa.table(
            {
                "content": [content for content, _ in part],
                "style": [style for _, style in part],
                "k": pa.array([0] * len(part), pa.int32()),
            }
        )
        output.write_table(f"data/shard-{start:08d}.parquet", table)


def chosen(output: Output, sample: Sample) -> list[Key]:
    return [
        (table["content"][row].as_py(), table["style"][row].as_py())
        for name, rows in sample.rows.items()
        for table in [output.read_table(name)]
        for row in rows.tolist()
    ]


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path))


def cross(contents: int, styles: int) -> list[Key]:
    return [(f"c{i}", f"s{j}") for i in range(contents) for j in range(styles)]


def test_all_pairs_when_they_are_few(output: Output) -> None:
    pairs = cross(7, 9)
    write(output, pairs)
    sample = choose(output, 63)
    assert (sample.shown, sample.total, sample.crossed) == (63, 63, True)
    assert sorted(chosen(output, sample)) == sorted(pairs)


def test_the_same_sample_each_time(output: Output) -> None:
    write(output, cross(40, 40))
    first = chosen(output, choose(output, 100))
    assert len(set(first)) == 100
    assert chosen(output, choose(output, 100)) == first


def test_a_sample_does_not_depend_on_how_pairs_were_cut_into_files(tmp_path: Path) -> None:
    one, other = Output(str(tmp_path / "one")), Output(str(tmp_path / "other"))
    pairs = cross(40, 40)
    write(one, pairs, per_file=50)
    write(other, pairs[::-1], per_file=170)
    keys = [sorted(chosen(output, choose(output, 100))) for output in (one, other)]
    assert keys[0] == keys[1]


def test_a_crossed_run_is_sampled_as_a_grid_without_holes(output: Output) -> None:
    write(output, cross(60, 50))
    sample = choose(output, 300)
    keys = chosen(output, sample)
    contents, styles = len({c for c, _ in keys}), len({s for _, s in keys})
    assert sample.crossed
    assert len(keys) == 300
    assert len(keys) >= 0.8 * contents * styles
    assert 8 <= styles <= 40


def test_few_styles_are_all_shown(output: Output) -> None:
    write(output, cross(200, 5))
    keys = chosen(output, choose(output, 100))
    assert {s for _, s in keys} == {f"s{j}" for j in range(5)}
    assert len({c for c, _ in keys}) == 20


def test_pairs_that_are_no_grid_are_sampled_evenly(output: Output) -> None:
    write(output, [(f"c{i}", f"s{i}") for i in range(2000)])
    sample = choose(output, 500)
    assert not sample.crossed
    assert sample.shown == 500
    early = sum(int(c[1:]) < 1000 for c, _ in chosen(output, sample))
    assert 200 < early < 300


def test_an_empty_run_has_an_empty_sample(output: Output) -> None:
    sample = choose(output, 10)
    assert (sample.rows, sample.shown, sample.total) == ({}, 0, 0)


def test_variants_of_a_pair_are_shown_together(output: Output) -> None:
    pairs = [(f"c{i}", f"s{i}") for i in range(100)]
    for k in range(3):
        keys = {"content": [c for c, _ in pairs], "style": [s for _, s in pairs]}
        table = pa.table(keys | {"k": pa.array([k] * 100, pa.int32())})
        output.write_table(f"data/shard-{k}.parquet", table)
    shown = Counter(chosen(output, choose(output, 60)))
    assert set(shown.values()) == {3}
