"""Results in folders, named as the authors' code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from styleid_ray.errors import ConfigError, RowError, SourceError
from styleid_ray.evaluation.folders import FolderResults
from tests.evaluation.drawn import draw, write_folders

Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return write_folders(tmp_path)


def find(folders: Folders) -> FolderResults:
    return FolderResults.find(*map(str, folders))


def test_results_are_matched_by_their_names(folders: Folders) -> None:
    found = find(folders)
    assert found.count == 4
    assert found.names[1] == ("a_stylized_y.png", "a.png", "y.png")
    (unit,) = found.units()
    (group,) = found.groups(unit)
    assert [(r.content, r.style) for r in group] == [
        ("a.png", "x.png"),
        ("a.png", "y.png"),
        ("b.png", "x.png"),
        ("c.png", "x.png"),
    ]


def test_the_three_may_be_of_other_kinds_and_other_files_lie_beside(folders: Folders) -> None:
    draw("a").save(folders[1] / "a.jpg")
    (folders[1] / "a.png").unlink()
    (folders[0] / "notes.txt").write_text("")
    draw("a").save(folders[0] / "overview.png")
    found = find(folders)
    assert found.names[0] == ("a_stylized_x.png", "a.jpg", "x.png")
    assert found.remarks == ["1 picture left out: not named CONTENT_stylized_STYLE"]


def test_names_may_hold_the_word_between_them(folders: Folders) -> None:
    draw("a").save(folders[1] / "a_stylized_b.png")
    draw("a").save(folders[0] / "a_stylized_b_stylized_x.png")
    assert ("a_stylized_b_stylized_x.png", "a_stylized_b.png", "x.png") in find(folders).names


@pytest.mark.parametrize(("role", "name"), [("content", "b"), ("style", "y")])
def test_a_missing_source_is_named_with_its_folder(folders: Folders, role: str, name: str) -> None:
    (folders[0].parent / role / f"{name}.png").unlink()
    with pytest.raises(ConfigError, match=f"--{role} .*{role} has no picture '{name}', which"):
        find(folders)


def test_two_sources_of_one_name_are_refused(folders: Folders) -> None:
    draw("a").save(folders[1] / "a.jpg")
    with pytest.raises(ConfigError, match="several pictures of one name"):
        find(folders)


def test_a_folder_without_results_is_refused(folders: Folders) -> None:
    with pytest.raises(ConfigError, match="has no picture named CONTENT_stylized_STYLE"):
        FolderResults.find(str(folders[1]), str(folders[1]), str(folders[2]))


def test_a_folder_that_is_not_there_is_refused(folders: Folders) -> None:
    with pytest.raises(SourceError, match="--style"):
        FolderResults.find(str(folders[0]), str(folders[1]), str(folders[2] / "no"))


def test_a_damaged_result_costs_its_pair(folders: Folders) -> None:
    found = find(folders)
    (folders[0] / "a_stylized_x.png").write_bytes(b"no picture")
    (group,) = found.groups(found.units()[0])
    assert isinstance(group[0].picture, RowError)
    assert isinstance(group[1].picture, Image.Image)
