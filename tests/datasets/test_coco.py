"""COCO in and out: nothing but names and ids changes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from styleid_ray.datasets import coco
from styleid_ray.datasets.example import ORIGIN, Example
from styleid_ray.datasets.features import arrow_type, stored
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.formats import open_labels, read_source
from styleid_ray.datasets.labels import Labels
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.store import Store
from tests.datasets import coco_data
from tests.datasets.coco_data import (
    CATEGORIES,
    PERSON,
    annotation_file,
    folder,
    image,
    panoptic_png,
    picture,
    polygon,
)

INSTANCES = "annotations/instances_train2017.json"
POLYGON = {"segmentation": [[1.5, 2.25, 9.125, 2.25, 9.125, 8.0], [10, 10, 12, 10, 12, 12]]}
CROWD_RLE = {"segmentation": {"counts": [30, 10, 728], "size": [24, 32]}, "iscrowd": 1}
COMPRESSED_RLE = {"segmentation": {"counts": "n0:fd0", "size": [24, 32]}}
PRECISE = {"bbox": [0.1, 1e-05, 17.123456789012345, 3], "area": 218.96875000000003}
UNKNOWN = {"attributes": {"occluded": False, "Größe": "¼"}, "score": 0.5, "track": None}
KEYPOINTS = {"keypoints": [5, 6, 2, 7, 8, 1, 0, 0, 0], "num_keypoints": 2, "category_id": 1}
SCENE = [
    polygon(7, 1, **POLYGON),
    polygon(900100, 1, **CROWD_RLE, category_id=90),
    polygon(8, 2, **COMPRESSED_RLE, **PRECISE),
    polygon(3, 2, **UNKNOWN),
]


def dataset(root: Path, files: Mapping[str, bytes], *pictures: str) -> DatasetOptions:
    """A dataset on the disk, with these pictures."""
    put = folder(root)
    for name, data in files.items():
        put(name, data)
    for name in pictures:
        put(name, picture("PNG" if name.endswith(".png") else "JPEG"))
    return DatasetOptions(str(root), "content", splits=("*",))


def two_pictures(root: Path, **fields: Any) -> DatasetOptions:
    """Two pictures with four annotations, in the download layout."""
    files = {INSTANCES: annotation_file([image(1), image(2)], SCENE, **fields)}
    return dataset(root, files, *names("train2017", 1, 2))


def names(where: str, *numbers: int) -> list[str]:
    return [f"{where}/{number:012d}.jpg" for number in numbers]


def opened(options: DatasetOptions, work: Path | str) -> tuple[Source, Labels]:
    """A dataset's pictures, and its labels as a task gets them."""
    contents = read_source(options)
    labels = open_labels(DatasetOptions(**{**vars(options), "format": "coco"}), contents)
    return contents, pickle.loads(pickle.dumps(labels.prepared(Store(str(work)))))


def label_of(labels: Labels, key: str) -> Any:
    (label,) = labels.read([key], [None])
    return label


def examples(contents: Source, labels: Labels, keys: Iterable[str]) -> Iterable[Example]:
    """One result for each content."""
    splits = dict(zip(contents.keys, contents.splits or [""] * len(contents.keys), strict=True))
    for key in keys:
        name = key.rpartition("/")[2].partition(".")[0] + "__night"
        origin = {**dict.fromkeys(ORIGIN), "content": key, "style": "night.jpg", "original": False}
        label = label_of(labels, key)
        yield Example(name, ".png", b"png", 32, 24, splits[key], label, origin)


def exported(options: DatasetOptions, to: Path | str, work: Path | str) -> str:
    """Writes an export of a dataset in two parts."""
    contents, labels = opened(options, work)
    writer = coco.Writer(Store(str(to)), labels)
    keys, half = list(contents.keys), (len(contents.keys) + 1) // 2
    parts = [
        writer.write(number, examples(contents, labels, some))
        for number, some in enumerate((keys[:half], keys[half:]))
    ]
    writer.finish(iter(parts))
    return str(to)


def parsed(root: str | Path, name: str) -> Any:
    return json.loads(read_bytes(f"{root}/{name}"))


def without(record: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in fields}


def refused(options: DatasetOptions) -> str:
    """The one line that says why a dataset cannot be read."""
    with pytest.raises(SourceError) as error:
        read_source(options)
    assert "\n" not in str(error.value)
    return str(error.value)


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


def test_records_come_back_exactly_as_they_are(tmp_path: Path) -> None:
    contents, labels = opened(two_pictures(tmp_path / "in"), tmp_path / "work")
    first, second = labels.read(list(contents.keys), [None, None])
    assert json.loads(first.files["json"]) == {
        "image": image(1),
        "annotations": {"instances_train2017.json": SCENE[:2]},
    }
    assert json.loads(second.files["json"])["annotations"] == {
        "instances_train2017.json": SCENE[2:]
    }
    assert first.size == (32, 24)
    assert labels.geometry


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


def test_pycocotools_reads_an_export_in_which_only_ids_and_names_changed(tmp_path: Path) -> None:
    root = exported(
        two_pictures(tmp_path / "in", videos=[{"id": 1}]), tmp_path / "out", tmp_path / "work"
    )
    content, source = parsed(root, "train/annotations.json"), parsed(tmp_path / "in", INSTANCES)
    lists = ("images", "annotations")
    assert without(content, *lists) == without(source, *lists)
    ids = ("id", "image_id")
    assert [without(a, *ids) for a in content["annotations"]] == [without(a, *ids) for a in SCENE]
    assert [a["id"] for a in content["annotations"]] == [1, 2, 3, 4]
    assert [a["image_id"] for a in content["annotations"]] == [1, 1, 2, 2]
    assert content["images"][1] == {
        **image(2),
        "id": 2,
        "file_name": "000000000002__night.png",
        "content": "train2017/000000000002.jpg",
        "style": "night.jpg",
        "original": False,
        **dict.fromkeys(("k", "gamma", "temperature", "pair_id")),
    }
    assert read_bytes(f"{root}/train/images/000000000002__night.png") == b"png"
    loaded = COCO(f"{root}/train/annotations.json")
    assert loaded.getCatIds() == [1, 18, 90]
    masks = [loaded.annToMask(one).sum() for one in loaded.loadAnns([1, 2, 3])]
    before = COCO(str(tmp_path / "in" / INSTANCES))
    assert masks == [before.annToMask(one).sum() for one in before.loadAnns([7, 900100, 8])]


def test_an_export_without_splits_lies_at_the_top_and_is_read_again(tmp_path: Path) -> None:
    files = {"annotations/boxes.json": annotation_file([image(1), image(2)], SCENE)}
    options = dataset(tmp_path / "in", files, *names("images", 1, 2))
    root = exported(options, tmp_path / "out", tmp_path / "work")
    contents, labels = opened(DatasetOptions(root, "content"), tmp_path / "again")
    assert contents.keys == [f"images/00000000000{number}__night.png" for number in (1, 2)]
    assert contents.splits is None
    assert len(label_of(labels, contents.keys[0]).columns["objects"]) == 2


def several(root: Path) -> DatasetOptions:
    """Instances, key points and captions of two splits, with ids that files count apart."""
    put = folder(root)
    for split, first in (("train2017", 1), ("val2017", 5)):
        images = [image(first), image(first + 1)]
        instances = [polygon(1, first, **KEYPOINTS), polygon(2, first + 1)]
        people = [{**instances[0], "num_keypoints": 2}]
        captions = [{"image_id": first + 1, "id": 9, "caption": 'A "dog", rightly – 犬\n'}]
        put(
            f"annotations/instances_{split}.json",
            annotation_file(images, [without(a, "keypoints") for a in instances]),
        )
        put(
            f"annotations/person_keypoints_{split}.json",
            annotation_file(images[:1], people, [PERSON]),
        )
        put(f"annotations/captions_{split}.json", annotation_file(images, captions, None))
    return dataset(root, {}, *names("train2017", 1, 2), *names("val2017", 5, 6))


def test_several_files_and_splits_keep_one_id_per_image(tmp_path: Path) -> None:
    root = exported(several(tmp_path / "in"), tmp_path / "out", tmp_path / "work")
    for split, first, numbers in (("train", 1, [1, 2]), ("val", 5, [3, 4])):
        instances, people, captions = (
            parsed(root, f"{split}/annotations/{kind}_{split}2017.json")
            for kind in ("instances", "person_keypoints", "captions")
        )
        assert [one["id"] for one in instances["images"]] == numbers
        assert [one["id"] for one in people["images"]] == numbers[:1]
        assert [one["id"] for one in captions["images"]] == numbers
        assert people["annotations"] == [polygon(1, numbers[0], **KEYPOINTS)]
        assert people["categories"] == [PERSON]
        assert "categories" not in captions
        assert captions["annotations"] == [
            {"id": 1, "image_id": numbers[1], "caption": 'A "dog", rightly – 犬\n'}
        ]
        assert instances["images"][0]["content"] == names(f"{split}2017", first)[0]


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


def panoptic(root: Path, png: bytes, pngs: str = "annotations/panoptic_val2017") -> DatasetOptions:
    """One picture with two segments."""
    shape = {"area": 384, "bbox": [0, 0, 16, 24], "iscrowd": 0}
    segments = [{"id": 70000, "category_id": 1, **shape}, {"id": 5, "category_id": 90, **shape}]
    record = {"segments_info": segments, "file_name": "000000000001.png", "image_id": 1}
    categories = [{**one, "isthing": 1} for one in CATEGORIES]
    files = {
        "annotations/panoptic_val2017.json": annotation_file([image(1)], [record], categories),
        f"{pngs}/000000000001.png": png,
    }
    return dataset(root, files, *names("val2017", 1))


@pytest.mark.parametrize("pngs", ["annotations/panoptic_val2017", "panoptic"])
def test_panoptic_segments_are_copied_byte_for_byte(tmp_path: Path, pngs: str) -> None:
    png = panoptic_png([70000, 5])
    options = panoptic(tmp_path / "in", png, pngs)
    contents, labels = opened(options, tmp_path / "work")
    assert not contents.skipped
    label = label_of(labels, contents.keys[0])
    assert label.files["panoptic.png"] == png
    assert [one["category"] for one in label.columns["segments"]] == ["person", "toothbrush"]
    root = exported(options, tmp_path / "out", tmp_path / "work")
    assert read_bytes(f"{root}/val/panoptic/000000000001__night.png") == png
    content = parsed(root, "val/annotations.json")
    (record,) = parsed(tmp_path / "in", "annotations/panoptic_val2017.json")["annotations"]
    assert content["annotations"] == [{**record, "file_name": "000000000001__night.png"}]
    again, _ = opened(DatasetOptions(root, "content"), tmp_path / "again")
    assert again.keys == ["val/images/000000000001__night.png"]
    assert not again.skipped


def test_a_panoptic_png_that_is_missing_stops_before_anything_is_written(tmp_path: Path) -> None:
    options = panoptic(tmp_path, b"")
    png = tmp_path / "annotations/panoptic_val2017/000000000001.png"
    png.rename(png.with_name("other.png"))
    assert "000000000001.png; add them" in refused(options)
    png.with_name("other.png").unlink()
    png.parent.rmdir()
    assert "its PNGs are in neither" in refused(options)


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


def test_a_content_that_lost_its_entry_stops_the_export(tmp_path: Path) -> None:
    options = two_pictures(tmp_path / "in")
    contents = read_source(options)
    folder(tmp_path / "in")(INSTANCES, annotation_file([image(1)], []))
    with pytest.raises(SourceError, match=r"1 contents .* train2017/000000000002\.jpg"):
        coco.labels(options, contents).prepared(Store(str(tmp_path / "work")))


def test_each_of_many_pictures_gets_its_own_annotations(tmp_path: Path) -> None:
    coco_data.make(folder(tmp_path / "in"), 1200, 3000)
    options = DatasetOptions(str(tmp_path / "in"), "content")
    contents, labels = opened(options, tmp_path / "work")
    keys = [*contents.keys][::-1]
    found = [json.loads(one.files["json"]) for one in labels.read(keys, [None] * 1200)]
    assert [one["image"]["id"] for one in found] == list(range(1199, -1, -1))
    counts = [len(one["annotations"]["instances_train2017.json"]) for one in found]
    assert counts == [2] * 600 + [3] * 600


def test_a_bucket_is_read_and_written(tmp_path: Path, s3: str) -> None:
    import s3fs

    store = s3fs.S3FileSystem()
    local = panoptic(tmp_path / "in", panoptic_png([70000, 5]))
    coco_data.make(folder(Path(local.url)), 3, 6)
    for path in Path(local.url).rglob("*.*"):
        store.pipe_file(f"{s3}/in/{path.relative_to(local.url)}", path.read_bytes())
    options = DatasetOptions(f"{s3}/in", "content", splits=("*",))
    contents, _ = opened(options, f"{s3}/work")
    assert len(contents.keys) == 4
    assert all(contents.versions or [])
    root = exported(options, f"{s3}/out", f"{s3}/work")
    assert len(parsed(root, "train/annotations.json")["annotations"]) == 6
    assert len(parsed(root, "val/annotations.json")["images"]) == 1
    assert read_bytes(f"{root}/val/panoptic/000000000001__night.png") == panoptic_png([70000, 5])


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
