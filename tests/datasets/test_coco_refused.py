"""COCO datasets that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from styleid_ray.datasets.options import DatasetOptions
from tests.datasets.coco_cases import INSTANCES, dataset, names, panoptic, refused, two_pictures
from tests.datasets.coco_data import (
    CATEGORIES,
    annotation_file,
    folder,
    image,
    panoptic_png,
    picture,
    polygon,
)


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([image(1), image(3)], [], "names 1 pictures that do not exist: train2017/000000000003"),
        ([image(1, file_name="x.jpg")], [], "none of which is in train2017/, train/, images/"),
        ([image(1)], [polygon(4, 77)], "annotation 4 is of image 77, which is not in its images"),
        ([image(1)], [{"id": 4, "bbox": []}], "annotation 4 has the image_id None"),
        ([image(1)], [polygon(4, 1, category_id=5)], "is of category 5, which is not in its"),
        ([image(1), image(1, id=9)], [], "000000000001.jpg twice, as image 1 and image 9"),
        ([image(1), image(2, id=1)], [], "have the same id, 1"),
        ([image(1, file_name=None)], [], "image 1 has no file_name"),
        ([image(1, id=1.5)], [], "an image has the id 1.5"),
        ([], [], "has no images, so it is no COCO annotation file"),
        (["a.jpg"], [], "has images that are no objects"),
    ],
)
def test_annotations_that_do_not_fit_are_one_line_with_file_and_id(
    tmp_path: Path, images: list[Any], annotations: list[Any], message: str
) -> None:
    files = {INSTANCES: annotation_file(images, annotations)}
    line = refused(dataset(tmp_path, files, *names("train2017", 1, 2)))
    assert f"{tmp_path}/{INSTANCES}" in line
    assert message in line


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ({"id": 7}, "category 7 has no name"),
        ({"name": "x"}, "a category has the id None"),
        ({"id": 18, "name": "x"}, "two categories have the id 18"),
    ],
)
def test_categories_need_ids_and_names(tmp_path: Path, category: Any, message: str) -> None:
    files = {INSTANCES: annotation_file([image(1)], [], [*CATEGORIES, category])}
    assert message in refused(dataset(tmp_path, files, *names("train2017", 1)))


@pytest.mark.parametrize(
    ("found", "put", "message"),
    [
        (b'"area": 218.96875', b'"area": NaN', "NaN and Infinity are not JSON"),
        (b'"area": 218.96875', b'"area": 9223372036854775808', "whole numbers end below 2**63"),
        (b'"area": 218.96875', b'"area" 1', "is not valid JSON"),
        (b"Tests", b"\xff", "invalid bytes in UTF8"),
    ],
)
def test_damaged_json_is_one_line(tmp_path: Path, found: bytes, put: bytes, message: str) -> None:
    options = two_pictures(tmp_path)
    path = tmp_path / INSTANCES
    path.write_bytes(path.read_bytes().replace(found, put))
    assert message in refused(options)
    path.write_bytes(path.read_bytes()[:500])
    assert "is not valid JSON" in refused(options)


def test_a_picture_in_two_splits_is_refused(tmp_path: Path) -> None:
    files = {
        f"annotations/{split}.json": annotation_file([image(1)], []) for split in ("train", "val")
    }
    line = refused(dataset(tmp_path, files, *names("images", 1)))
    assert "images/000000000001.jpg is in two splits" in line
    assert "train.json" in line
    assert "val.json" in line


def test_pictures_in_two_folders_of_one_file_are_refused(tmp_path: Path) -> None:
    options = two_pictures(tmp_path)
    dataset(tmp_path, {}, *names("images", 1, 2))
    assert "lie in each of train2017/ and images/" in refused(options)


def test_two_panoptic_files_of_one_split_are_refused(tmp_path: Path) -> None:
    options = panoptic(tmp_path, panoptic_png([1]), "panoptic")
    text = (tmp_path / "annotations/panoptic_val2017.json").read_bytes()
    folder(tmp_path)("annotations/panoptic2_val2017.json", text)
    assert "are panoptic, both for the same pictures" in refused(options)


def test_annotation_files_with_one_name_in_one_split_are_refused(tmp_path: Path) -> None:
    two_pictures(tmp_path)
    folder(tmp_path)("other/instances_train2017.json", annotation_file([image(1)], []))
    both = (f"{tmp_path}/{INSTANCES}", f"{tmp_path}/other/instances_train2017.json")
    line = refused(DatasetOptions(str(tmp_path), "content", annotations=both))
    assert "have the same name" in line


def test_a_missing_annotation_file_is_named(tmp_path: Path) -> None:
    two_pictures(tmp_path)
    missing = DatasetOptions(str(tmp_path), "content", annotations=(f"{tmp_path}/no.json",))
    assert f"{tmp_path}/no.json cannot be read (the file does not exist)" in refused(missing)


def test_an_annotation_file_missing_in_the_bucket_is_named(s3: str) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe_file(f"{s3}/a.jpg", picture())
    line = refused(DatasetOptions(s3, "content", annotations=(f"{s3}/no.json",)))
    assert f"{s3}/no.json cannot be read (the file does not exist)" in line


def test_a_damaged_annotation_file_in_a_bucket_is_named(s3: str) -> None:
    import s3fs

    for name, data in (("a.jpg", picture()), ("annotations/train.json", b"{")):
        s3fs.S3FileSystem().pipe_file(f"{s3}/{name}", data)
    assert f"{s3}/annotations/train.json is not valid JSON" in refused(
        DatasetOptions(s3, "content")
    )
