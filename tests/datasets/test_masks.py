"""Every content has its mask, or planning says which has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from styleid_ray.datasets.masks import check_all_masked, mask_name, mask_source
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError


def folder(path: Path, *names: str) -> str:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return str(path)


def test_a_mask_has_the_relative_name_of_its_content_as_a_png(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png", "deep/b.png")
    check_all_masked(Source("/in", ("a.jpg", "deep/b.tif")), root, "masks", None)
    assert mask_source(root, None).url(mask_name("deep/b.tif")) == f"{root}/deep/b.png"


def test_contents_without_a_mask_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png")
    contents = Source("/in", ("a.jpg", "b.jpg", "c/d.jpg", "e.jpg", "f.jpg"))
    wanted = r"--masks: .* no mask for b\.jpg, c/d\.jpg, e\.jpg and 1 more: .* here b\.png"
    with pytest.raises(SourceError, match=wanted):
        check_all_masked(contents, root, "masks", None)


def test_contents_with_names_of_their_own_have_no_mask_below_a_folder(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png")
    with pytest.raises(SourceError, match=r"no mask for /elsewhere/a\.jpg"):
        check_all_masked(Source("/in", ("/elsewhere/a.jpg",)), root, "masks", None)


@pytest.mark.parametrize(("name", "reason"), [("gone", "does not exist"), ("a.png", "is a file")])
def test_masks_that_are_not_a_folder_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    root = folder(tmp_path, "a.png")
    with pytest.raises(SourceError, match=f"--masks: .*{reason}"):
        check_all_masked(Source("/in", ("a.jpg",)), f"{root}/{name}", "masks", None)
