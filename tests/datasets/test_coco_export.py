"""COCO out: nothing but names and ids changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from styleid_ray.datasets import coco
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.errors import SourceError
from styleid_ray.storage.fetch import read_bytes
from styleid_ray.storage.store import Store
from tests.datasets import coco_data
from tests.datasets.coco_cases import (
    INSTANCES,
    KEYPOINTS,
    SCENE,
    dataset,
    exported,
    label_of,
    names,
    opened,
    panoptic,
    parsed,
    refused,
    several,
    two_pictures,
    without,
)
from tests.datasets.coco_data import (
    PERSON,
    annotation_file,
    folder,
    image,
    panoptic_png,
    polygon,
)


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
