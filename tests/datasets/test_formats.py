"""Datasets are recognised by their files, and give the splits that are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from styleid_ray.config import ExportFormat
from styleid_ray.datasets.folder import FolderLabels
from styleid_ray.datasets.formats import crop_note, open_writer, read_source, recognised
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.splits import dealt
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.storage.store import Store
from tests.datasets.coco_data import annotation_file, image, polygon
from tests.datasets.yolo_data import config


def content(url: object, **more) -> DatasetOptions:
    return DatasetOptions(str(url), "content", **more)


def test_plain_folders_stay_plain_folders(folder) -> None:
    root = folder("in", ["a/1.png", "a/2.png", "b.png"])
    source = read_source(content(root))
    assert (source.format, source.splits, source.places) == ("folder", None, None)
    assert len(source.keys) == 3


def test_top_folders_are_splits_only_where_all_of_them_are(folder) -> None:
    source = read_source(content(folder("one", ["train/ant/1.png", "Validation/ant/1.png"])))
    assert source.splits == ("train",)
    source = read_source(content(folder("rest", ["val/ant/1.png", "test/bee/2.png"])))
    assert source.splits == ("test", "val")
    source = read_source(content(folder("two", ["train/1.png", "boat/1.png"])))
    assert source.splits is None
    source = read_source(DatasetOptions(str(folder("three", ["train/1.png"])), "style"))
    assert source.splits is None


def test_requested_splits_are_taken_and_unknown_ones_are_named(folder) -> None:
    root = folder("in", ["train/1.png", "valid/2.png", "test/3.png"])
    assert read_source(content(root)).keys == ("train/1.png",)
    source = read_source(content(root, splits=("valid", "test")))
    assert source.keys == ("test/3.png", "valid/2.png")
    assert source.splits == ("test", "val")
    with pytest.raises(SourceError, match=r"--splits night: the dataset has test, train, val"):
        read_source(content(root, splits=("night",)))
    with pytest.raises(SourceError, match="has no splits"):
        read_source(content(folder("plain", ["a.png"]), splits=("train",)))


def test_annotation_files_make_it_coco(folder, tmp_path: Path) -> None:
    root = folder("in", ["images/000000000000.jpg"])
    (root / "list.json").write_bytes(annotation_file([image(0)], [polygon(1, 0)]))
    assert recognised(content(root), None).format == "folder"
    options = content(root, annotations=(str(root / "list.json"),))
    assert read_source(options).format == "coco"


def test_a_file_data_yaml_makes_it_yolo(folder) -> None:
    root = folder("in", ["images/train/a.png", "images/val/a.png"])
    (root / "data.yaml").write_text(str(config()["data.yaml"]))
    (root / "labels/train").mkdir(parents=True)
    (root / "labels/train/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert read_source(content(root)).format == "yolo"
    assert read_source(content(root, format="folder")).format == "folder"


def test_crops_of_contents_with_coordinates_or_masks_have_a_note_before_the_run() -> None:
    for format, masks in (("coco", False), ("folder", True)):
        assert "use --fit keep" in (crop_note(format, "crop", masks) or "")
        assert crop_note(format, "keep", masks) is None
    assert crop_note("folder", "crop", False) is None


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_labels_of_another_format_are_refused_with_the_formats_that_hold_them(
    format: ExportFormat, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"--format {format} .* folder dataset: .* parquet"):
        open_writer(format, Store(str(tmp_path)), FolderLabels(False, ("cat",)))


def test_a_later_style_does_not_change_the_splits_of_others() -> None:
    styles = [f"{n}.png" for n in range(40)]
    before, after = dealt(styles[:30], ["train", "val"]), dealt(styles, ["train", "val"])
    assert before.tolist() == after[:30].tolist()
    assert set(np.unique(after)) == {0, 1}
