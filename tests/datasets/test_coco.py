"""COCO in: layouts, splits, and columns."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from styleid_ray.datasets import coco
from styleid_ray.datasets.features import arrow_type, stored
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.storage.fetch import read_bytes
from tests.datasets import coco_data
from tests.datasets.coco_cases import (
    CROWD_RLE,
    INSTANCES,
    KEYPOINTS,
    dataset,
    exported,
    label_of,
    names,
    opened,
    parsed,
    refused,
    several,
    two_pictures,
)
from tests.datasets.coco_data import (
    CATEGORIES,
    annotation_file,
    folder,
    image,
    picture,
    polygon,
)


def test_the_download_layout_is_recognised_with_its_splits_and_versions(tmp_path: Path) -> None:
    put = folder(tmp_path)
    coco_data.make(put, 3, 5, "train2017")
    coco_data.make(put, 2, 2, "val2017")
    files = list_files(str(tmp_path), "content")
    contents = read_source(DatasetOptions(str(tmp_path), "content", splits=("*",)))
    assert coco.recognises(files)
    assert contents.format == "coco"
    assert contents.keys == [*names("train2017", 0, 1, 2), *names("val2017", 0, 1)]
    assert contents.splits == ["train"] * 3 + ["val"] * 2
    versions = dict(zip(files.names, files.versions, strict=True))
    assert contents.versions == [versions[key] for key in contents.keys]
    assert not contents.skipped


def test_a_folder_of_pictures_is_not_taken_for_coco(tmp_path: Path) -> None:
    dataset(tmp_path, {"notes.json": b"{}"}, "a/b.jpg")
    assert not coco.recognises(list_files(str(tmp_path), "content"))


@pytest.mark.parametrize(
    ("file", "where", "split"),
    [
        ("annotations/train.json", "images", "train"),
        ("annotations/instances_val.json", "val", "val"),
        ("annotations/person_keypoints_test-dev2017.json", "test-dev2017", "test"),
        ("annotations/train2014.json", "images/train2014", "train"),
        ("annotations/boxes.json", "images", None),
        ("annotations.json", "images", None),
        ("train/_annotations.coco.json", "train", "train"),
        ("deep/annotations/instances_train.json", "deep/train", "train"),
    ],
)
def test_common_layouts_are_read(tmp_path: Path, file: str, where: str, split: str | None) -> None:
    options = dataset(tmp_path, {file: annotation_file([image(1)], [])}, *names(where, 1))
    contents = read_source(DatasetOptions(str(tmp_path), "content"))
    assert contents.format == "coco"
    assert contents.keys == names(where, 1)
    assert contents.splits == (split and [split])
    assert label_of(opened(options, tmp_path / "work")[1], names(where, 1)[0]).size == (32, 24)


def test_a_file_name_may_hold_its_folder(tmp_path: Path) -> None:
    record = image(1, file_name="pictures/a b.png")
    options = dataset(
        tmp_path, {"annotations/all.json": annotation_file([record], [])}, "pictures/a b.png"
    )
    assert read_source(options).keys == ["pictures/a b.png"]


def test_unlisted_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    options = two_pictures(tmp_path)
    folder(tmp_path)("train2017/extra.jpg", picture())
    folder(tmp_path)("readme.txt", b"")
    contents = read_source(options)
    assert len(contents.keys) == 2
    assert contents.skipped == {"pictures without an entry in the annotations": 1, ".txt": 1}


def test_annotation_files_may_lie_elsewhere(tmp_path: Path) -> None:
    put = folder(tmp_path / "notes")
    put("mine_train.json", annotation_file([image(1)], [polygon(1, 1)]))
    options = dataset(tmp_path / "in", {}, *names("photos", 1))
    options = DatasetOptions(
        f"{tmp_path}/in/photos", "content", annotations=(f"{tmp_path}/notes/mine_train.json",)
    )
    contents, labels = opened(options, tmp_path / "work")
    assert contents.keys == ["000000000001.jpg"]
    assert contents.splits == ["train"]
    assert len(label_of(labels, "000000000001.jpg").columns["objects"]) == 1


def test_only_the_wanted_split_needs_its_pictures(tmp_path: Path) -> None:
    options = two_pictures(tmp_path)
    put = folder(tmp_path)
    put("annotations/instances_val2017.json", annotation_file([image(5)], [polygon(1, 5)]))
    assert "val2017" in refused(options)
    contents, labels = opened(
        DatasetOptions(str(tmp_path), "content", splits=("train",)), tmp_path / "work"
    )
    assert contents.keys == names("train2017", 1, 2)
    assert [file["name"] for file in labels.header["files"]] == ["instances_train2017.json"]


def test_columns_are_those_of_the_hub(tmp_path: Path) -> None:
    # Type checkers take this folder for the package.
    datasets: Any = import_module("datasets")
    contents, labels = opened(two_pictures(tmp_path / "in"), tmp_path / "work")
    found = [label.columns for label in labels.read(list(contents.keys), [None, None])]
    assert found[0]["objects"][1] == {
        "id": 900100,
        "bbox": [2.25, 3.5, 17.875, 12.25],
        "category": "toothbrush",
        "area": 218.96875,
        "iscrowd": 1,
        "segmentation": json.dumps(CROWD_RLE["segmentation"]),
    }
    features = datasets.Features.from_dict(dict(labels.features))
    rows = [{"objects": stored(row["objects"], labels.features["objects"])} for row in found]
    assert datasets.Dataset.from_list(rows, features=features)[0] == rows[0]
    assert features.arrow_schema.field("objects").type == arrow_type(labels.features["objects"])
    assert labels.features["objects"][0]["category"]["names"] == ["person", "dog", "toothbrush"]


def test_annotations_of_two_files_are_one_object_in_columns(tmp_path: Path) -> None:
    contents, labels = opened(several(tmp_path / "in"), tmp_path / "work")
    first, second = (label_of(labels, key).columns for key in contents.keys[:2])
    assert [one["keypoints"] for one in first["objects"]] == [KEYPOINTS["keypoints"]]
    assert first["captions"] == []
    assert second["objects"][0]["keypoints"] is None
    assert second["captions"] == ['A "dog", rightly – 犬\n']


def test_captions_are_valid_for_crops(tmp_path: Path) -> None:
    records = [{"image_id": 1, "id": 1, "caption": "A dog."}]
    files = {"annotations/captions_train2017.json": annotation_file([image(1)], records, None)}
    options = dataset(tmp_path / "in", files, *names("train2017", 1))
    _, labels = opened(options, tmp_path / "work")
    assert not labels.geometry
    assert set(labels.features) == {"captions"}


def test_split_folders_with_their_own_annotation_files_stay_separate(tmp_path: Path) -> None:
    files = {
        f"{split}/_annotations.coco.json": annotation_file([image(1)], [polygon(1, 1, area=area)])
        for split, area in (("train", 5), ("valid", 6))
    }
    options = dataset(tmp_path / "in", files, *names("train", 1), *names("valid", 1))
    root = exported(options, tmp_path / "out", tmp_path / "work")
    for split, area in (("train", 5), ("val", 6)):
        content = parsed(root, f"{split}/annotations.json")
        assert [one["area"] for one in content["annotations"]] == [area]


def test_ids_may_be_texts(tmp_path: Path) -> None:
    files = {INSTANCES: annotation_file([image(1, id="a"), image(2, id="b")], [polygon(1, "b")])}
    options = dataset(tmp_path / "in", files, *names("train2017", 1, 2))
    root = exported(options, tmp_path / "out", tmp_path / "work")
    content = parsed(root, "train/annotations.json")
    assert content["annotations"] == [polygon(1, 2)]


def test_categories_that_share_a_name_stay_distinct_in_columns(tmp_path: Path) -> None:
    categories = [*CATEGORIES, {"id": 91, "name": "dog", "supercategory": "toy"}]
    records = [polygon(1, 1, category_id=91), polygon(2, 1, category_id=18)]
    files = {INSTANCES: annotation_file([image(1)], records, categories)}
    _, labels = opened(dataset(tmp_path / "in", files, *names("train2017", 1)), tmp_path / "work")
    objects = label_of(labels, names("train2017", 1)[0]).columns["objects"]
    assert [one["category"] for one in objects] == ["dog (91)", "dog"]


def test_label_masks_go_beside_the_pictures(tmp_path: Path) -> None:
    two_pictures(tmp_path / "in")
    for number in (1, 2):
        folder(tmp_path / "masks")(f"train2017/{number:012d}.png", b"mask%d" % number)
    options = DatasetOptions(str(tmp_path / "in"), "content", label_masks=str(tmp_path / "masks"))
    root = exported(options, tmp_path / "out", tmp_path / "work")
    assert read_bytes(f"{root}/train/masks/000000000002__night.png") == b"mask2"
