"""The place of an export takes one export, begun or complete, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from styleid_ray.batch.export.target import MARKER, ExportStore
from styleid_ray.errors import ConfigError, OutputError

HOW = {"format": "coco", "mix": 2.0}


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ExportStore:
    if request.param == "disk":
        return ExportStore(str(tmp_path / "to"))
    return ExportStore(f"{request.getfixturevalue('s3')}/to")


def test_an_export_interrupted_before_its_first_part_resumes(store: ExportStore) -> None:
    store.check(HOW)
    store.begin(HOW)
    store.write("train/ant/0.jpg", b"1")
    store.check(HOW)
    with pytest.raises(ConfigError, match=r"mix: 2\.0, now None"):
        store.check(HOW | {"mix": None})


def test_a_complete_export_keeps_only_its_marker_and_is_incomplete_while_it_grows(
    store: ExportStore,
) -> None:
    store.begin(HOW)
    store.write("images/0.jpg", b"1")
    store.finish(HOW, {"digest": "1"})
    assert store.names() == {MARKER, "images"}
    assert store.complete() == {"digest": "1"}
    store.check(HOW)
    store.begin(HOW)
    assert store.complete() is None


def test_a_place_with_other_files_is_refused_and_one_with_hidden_ones_is_not(
    store: ExportStore,
) -> None:
    store.write(".DS_Store", b"")
    store.check(HOW)
    store.write("thesis.tex", b"precious")
    with pytest.raises(ConfigError, match=r"--to .*thesis\.tex"):
        store.check(HOW)


def test_a_damaged_marker_is_one_line_that_names_it(store: ExportStore) -> None:
    store.write(MARKER, b"{")
    with pytest.raises(OutputError, match=r"\.export\.json is damaged"):
        store.check(HOW)


def test_a_store_that_does_not_answer_is_one_line_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    store = ExportStore("s3://nowhere/x", {"endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(OutputError, match="nowhere/x cannot be read"):
        store.check(HOW)
    with pytest.raises(OutputError, match="--to nonsense://"):
        ExportStore("nonsense://x")
