"""The pairs of a plan can be saved, changed and planned again."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError, OutputError, SourceError
from styleid_ray.planning import make_pairs, pairs_file
from styleid_ray.planning.pairs_file import save_pairs


def job(root: Path, **options) -> JobConfig:
    defaults = {"content": str(root / "c"), "style": str(root / "s"), "output": str(root / "out")}
    return JobConfig(**{**defaults, **options})


@pytest.fixture
def root(folder, tmp_path: Path) -> Path:
    folder("c", ["a.png", "b/a.png", "c.png"])
    folder("s", [f"{i}.png" for i in range(5)])
    return tmp_path


def triples(config: JobConfig) -> list[tuple]:
    table = make_pairs(config).table
    return sorted(zip(*(table[n].to_pylist() for n in ("content", "style", "k")), strict=True))


@pytest.mark.parametrize("kind", ["json", "csv", "jsonl", "parquet"])
def test_the_pairs_of_any_pairing_are_saved_and_given_back(root: Path, kind: str) -> None:
    drawn = job(root, pairing="random", styles_per_content=2, seed=3)
    file = str(root / f"new/pairs.{kind}")
    save_pairs(make_pairs(drawn).table, file)
    assert triples(job(root, pairing="table", table=file)) == triples(drawn)


def test_a_mapping_is_read_as_people_write_it(root: Path) -> None:
    (root / "p.json").write_text('{"a.png": ["1.png", "0.png"], "b/a.png": "4.png"}')
    pairs = triples(job(root, pairing="table", table=str(root / "p.json")))
    assert pairs == [("a.png", "0.png", 0), ("a.png", "1.png", 0), ("b/a.png", "4.png", 0)]


def test_a_saved_mapping_names_each_content_once(root: Path) -> None:
    file = root / "p.json"
    save_pairs(make_pairs(job(root)).table, str(file))
    assert json.loads(file.read_text()) == {
        c: [f"{i}.png" for i in range(5)] for c in ("a.png", "b/a.png", "c.png")
    }


@pytest.mark.parametrize(
    "text", ["[1]", "{}", '{"a.png": 3}', '{"a.png": [1]}', '{"a.png": ["1.png"', "nonsense"]
)
def test_what_is_no_mapping_is_an_error_that_names_the_file(root: Path, text: str) -> None:
    (root / "p.json").write_text(text)
    with pytest.raises(SourceError, match=r"p\.json is not valid json"):
        make_pairs(job(root, pairing="table", table=str(root / "p.json")))


def test_a_pair_that_a_mapping_has_twice_is_an_error(root: Path) -> None:
    (root / "p.json").write_text('{"a.png": ["1.png", "1.png"]}')
    with pytest.raises(SourceError, match="same pair more than once"):
        make_pairs(job(root, pairing="table", table=str(root / "p.json")))


def test_json_refuses_pairs_with_parameters_and_names_the_formats_that_hold_them(
    root: Path,
) -> None:
    (root / "p.csv").write_text("content,style,gamma\na.png,1.png,0.5\n")
    table = make_pairs(job(root, pairing="table", table=str(root / "p.csv"))).table
    with pytest.raises(ConfigError, match=r"gamma.*\.csv"):
        save_pairs(table, str(root / "q.json"))
    save_pairs(table, str(root / "q.csv"))
    again = make_pairs(job(root, pairing="table", table=str(root / "q.csv"))).table
    assert again["gamma"].to_pylist() == [0.5]


def test_a_file_that_cannot_be_written_is_one_line(root: Path) -> None:
    table = make_pairs(job(root)).table
    with pytest.raises(ConfigError, match=r"must end in \.json"):
        save_pairs(table, str(root / "p.txt"))
    (root / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/p\.json cannot be written"):
        save_pairs(table, str(root / "file/p.json"))
    (root / "p.json").write_text("mine")
    with pytest.raises(OutputError, match="exists: name another file"):
        save_pairs(table, str(root / "p.json"))
    assert (root / "p.json").read_text() == "mine"


def test_a_write_that_fails_leaves_no_file_of_pairs(root: Path, monkeypatch) -> None:
    def full(table, file) -> None:
        file.write(b"content,style")
        raise OSError(errno.ENOSPC, "No space left on device")

    table = make_pairs(job(root)).table
    with monkeypatch.context() as patch:
        patch.setitem(pairs_file._WRITERS, ".csv", full)
        with pytest.raises(OutputError, match="make room there"):
            save_pairs(table, str(root / "new/p.csv"))
    assert list((root / "new").iterdir()) == []
    save_pairs(table, str(root / "new/p.csv"))
    assert [path.name for path in (root / "new").iterdir()] == ["p.csv"]
