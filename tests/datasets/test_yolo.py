"""Ultralytics YOLO in, Ultralytics YOLO out: label files are copied, whatever their task."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from datasets import Features  # pyright: ignore[reportAttributeAccessIssue]

from styleid_ray.datasets import yolo
from styleid_ray.datasets.example import Example
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.labels import Label
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source, skipped_line
from styleid_ray.datasets.yolo.reader import YoloLabels, label_names
from styleid_ray.errors import SourceError
from styleid_ray.storage.store import Store
from tests.datasets.yolo_data import BOXES, NAMES, config, pictures, put

TRAIN_VAL = pictures(["images/train/a", "images/train/b", "images/val/c"])
KEYS = ("images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg")


def source_of(url: Any) -> Source:
    options = DatasetOptions(str(url), "content")
    return yolo.source(list_files(options.url, options.what), options)


def opened(url: Any) -> tuple[Source, YoloLabels]:
    options = DatasetOptions(str(url), "content")
    assert yolo.recognises(list_files(options.url, options.what))
    source = source_of(url)
    return source, pickle.loads(pickle.dumps(yolo.labels(options, source)))


def labelled(url: Any) -> dict[str, Label]:
    source, labels = opened(url)
    keys = list(source.keys)
    return dict(zip(keys, labels.read(keys, [None] * len(keys)), strict=True))


def exported(url: Any, to: Any, only: tuple[str, ...] = ("train", "val", "test")) -> Store:
    """Writes each picture of some splits once, named NAME__style."""
    source, labels = opened(url)
    store = Store(str(to))
    writer, parts = yolo.Writer(store, labels), []
    read = labels.read(list(source.keys), [None] * len(source.keys))
    assert source.splits is not None
    for i, (key, split, label) in enumerate(zip(source.keys, source.splits, read, strict=True)):
        name = f"{key.rpartition('/')[2].partition('.')[0]}__style"
        if split in only:
            parts.append(writer.write(i, [example(name, label, split)]))
    writer.finish(iter(parts))
    return store


def example(name: str, label: Label, split: str) -> Example:
    return Example(name, ".png", b"picture", 4, 4, split, label, {})


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yml", "coco8.yaml"])
def test_a_yaml_file_beside_images_and_labels_is_recognised(tmp_path: Path, name):
    put(tmp_path, TRAIN_VAL | config(name))
    source, labels = opened(tmp_path)
    assert source.keys == KEYS
    assert source.splits == ("train", "train", "val")
    assert source.versions is not None
    assert len(source.versions) == 3
    assert labels.header["names"] == NAMES


def test_pictures_without_a_yaml_file_or_labels_are_not_recognised(tmp_path: Path):
    put(tmp_path / "bare", TRAIN_VAL)
    put(tmp_path / "unlabelled", pictures(["images/train/a"], None) | config())
    put(tmp_path / "two", TRAIN_VAL | config("a.yaml") | config("b.yaml"))
    for name in ("bare", "unlabelled", "two"):
        assert not yolo.recognises(list_files(str(tmp_path / name), "content"))


def test_the_yaml_file_itself_can_be_named(tmp_path: Path):
    put(tmp_path, TRAIN_VAL | config("a.yaml") | config("b.yaml", val="left out"))
    assert opened(tmp_path / "a.yaml")[0].keys == KEYS
    assert opened(tmp_path / "b.yaml")[0].keys == KEYS[:2]
    with pytest.raises(
        SourceError, match=r"has neither a data.yaml .*name the dataset's YAML file"
    ):
        source_of(tmp_path)


@pytest.mark.parametrize("path", ["{}/ds", "../ds", ".."])
def test_a_yaml_file_elsewhere_names_its_dataset_by_path(tmp_path: Path, path):
    put(tmp_path / "ds", TRAIN_VAL)
    if path == "..":
        put(tmp_path, {f"ds/cfg/{k}": v for k, v in config("x.yaml", path=path).items()})
        source, labels = opened(tmp_path / "ds/cfg/x.yaml")
    else:
        put(tmp_path / "cfg", config("x.yaml", path=path.format(tmp_path)))
        source, labels = opened(tmp_path / "cfg/x.yaml")
    assert source.root == str(tmp_path / "ds")
    assert source.keys == KEYS
    assert labels.read(KEYS[:1], [None])[0].files == {"txt": BOXES.encode()}


@pytest.mark.parametrize(
    "keys",
    [
        {"path": "/content/datasets/x"},
        {"path": "../datasets/x"},
        {"path": "."},
        {"path": None},
        {"path": "/content/x", "train": "/content/x/images/train"},
        {"train": "../images/train", "val": "../../images/val/"},
        {"train": "./images/train", "val": "left out", "validation": "images/val"},
        {"train": ["images/train/"], "val": ["images/val", "images/val"]},
        {"test": "images/test"},
        {"test": None},
    ],
)
def test_paths_of_another_machine_fall_back_to_the_folder_of_the_yaml_file(tmp_path: Path, keys):
    put(tmp_path, TRAIN_VAL | config(**keys))
    source = source_of(tmp_path)
    assert source.keys == KEYS
    assert source.splits == ("train", "train", "val")


def test_absolute_paths_below_the_dataset_and_a_path_inside_it_are_followed(tmp_path: Path):
    files = {f"coco8/{name}": data for name, data in TRAIN_VAL.items()}
    put(tmp_path, files | config(path="coco8", val=f"{tmp_path}/coco8/images/val"))
    assert source_of(tmp_path).keys == tuple(f"coco8/{key}" for key in KEYS)
    put(tmp_path, config(path=f"{tmp_path}/coco8"))
    assert source_of(tmp_path).splits == ("train", "train", "val")


def test_the_layout_with_a_folder_for_each_split_is_read(tmp_path: Path):
    files = pictures(["train/images/a", "valid/images/b"])
    put(tmp_path, files | config(train="../train/images", val="../valid/images"))
    source, labels = opened(tmp_path)
    assert source.splits == ("train", "val")
    assert all(label.files for label in labels.read(list(source.keys), [None, None]))


@pytest.mark.parametrize(
    "lines",
    [
        "./images/train/a.jpg\n./images/train/b.jpg\n",
        "images/train/a.jpg\r\n\r\n images/train/b.jpg",
        "/content/x/images/train/a.jpg\n{root}/images/train/b.jpg",
    ],
)
def test_text_files_can_list_the_pictures_of_a_split(tmp_path: Path, lines):
    lists = {"train.txt": lines.format(root=tmp_path)}
    put(tmp_path, TRAIN_VAL | lists | config(train="train.txt", path="/content/x"))
    assert source_of(tmp_path).splits == ("train", "train", "val")


def test_lists_in_a_folder_name_pictures_relative_to_it_or_to_the_dataset(tmp_path: Path):
    lists = {"lists/t.txt": "../images/train/a.jpg\nimages/train/b.jpg\n"}
    put(tmp_path, TRAIN_VAL | lists | config(train="lists/t.txt"))
    assert source_of(tmp_path).keys == KEYS


def test_a_test_split_that_was_not_downloaded_is_ignored(tmp_path: Path):
    lists = {"test.txt": "./images/test/x.jpg\n"}
    put(tmp_path, TRAIN_VAL | lists | config(test="test.txt"))
    assert source_of(tmp_path).keys == KEYS


def test_one_folder_for_train_and_val_is_train(tmp_path: Path):
    put(tmp_path, pictures(["images/all/a"]) | config(train="images/all", val="images/all"))
    assert source_of(tmp_path).splits == ("train",)


def test_pictures_in_no_split_and_other_files_are_left_out_and_counted(tmp_path: Path):
    put(
        tmp_path,
        TRAIN_VAL
        | {"images/more/x.jpg": b"", "images/train/y.heic": b"", "images/train/z.npy": b""}
        | {"labels/train/classes.txt": "cat\ndog\n", "labels/train.cache": b""}
        | config(),
    )
    source = source_of(tmp_path)
    assert source.keys == KEYS
    assert skipped_line(source) == (
        "skipped 1 file that is not a readable picture (1 .heic), 1 pictures in no split"
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"names": "left out"}, r"it has no class names: add names"),
        ({"names": []}, r"it has no class names"),
        ({"names": {0: "a", 2: "b"}}, r"class 1 has no name: add it"),
        ({"names": ["a", None]}, r"class 1 has no name"),
        ({"names": ["a"], "nc": 3}, r"class 1 has no name"),
        ({"names": ["a", "b", "a"]}, r"two classes have the name 'a': rename"),
        ({"train": "left out", "val": None}, r"it names no pictures: add train and val"),
        ({"train": {"a": 1}}, r"train should be a folder, a .txt file, or a list"),
        ({"train": "images/gone"}, r"train: images/gone does not exist below .*: correct the path"),
        ({"val": "/data/other/val"}, r"val: /data/other/val does not exist below"),
        ({"val": "data.yaml"}, r"val: data.yaml is neither a folder nor a .txt file"),
        ({"train": "labels", "val": None}, r"its splits hold no pictures such as .jpg"),
    ],
)
def test_a_yaml_file_that_cannot_be_used_is_one_line_that_names_it(tmp_path: Path, keys, message):
    put(tmp_path, TRAIN_VAL | config(**keys))
    with pytest.raises(SourceError, match=rf"--content: {tmp_path}/data.yaml: {message}") as error:
        source_of(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "while parsing"),
        ("", "it holds no keys"),
        (b"\xff\xfe\xfa", "data.yaml: "),
        ("a: 2020-99-99", "month must be in 1..12"),
        ("[" * 10_000, "data.yaml: "),
    ],
)
def test_a_damaged_yaml_file_is_one_line_that_names_it(tmp_path: Path, text, message):
    put(tmp_path, TRAIN_VAL | {"data.yaml": text})
    with pytest.raises(SourceError, match=rf"--content: {tmp_path}/data.yaml: ") as error:
        source_of(tmp_path)
    assert message in str(error.value)
    assert "\\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"labels/train/x.txt": BOXES}, r"labels/train/x.txt has no picture .*: put the picture"),
        ({"train.txt": "gone.jpg\n", **config(train="train.txt")}, r"train.txt lists gone.jpg, wh"),
        ({"train.txt": "../../a.jpg", **config(train="train.txt")}, r"lists ../../a.jpg, which"),
        ({"train.txt": b"\xff", **config(train="train.txt")}, r"train.txt: 'utf-8' codec"),
        (
            pictures(["images/new/x"], None) | config(train="images/new", val=None),
            r"no picture has a label file, the first should have labels/new/x.txt",
        ),
    ],
)
def test_pictures_and_labels_that_do_not_fit_are_one_line_that_names_them(
    tmp_path: Path, files, message
):
    put(tmp_path, TRAIN_VAL | config() | files)
    with pytest.raises(SourceError, match=rf"--content: {tmp_path}.*{message}"):
        source_of(tmp_path)


def test_labels_without_any_picture_of_their_split_are_no_error(tmp_path: Path):
    put(tmp_path, TRAIN_VAL | {"labels/test/x.txt": BOXES} | config())
    assert source_of(tmp_path).keys == KEYS


@pytest.mark.parametrize(
    "key",
    [
        "images/a.jpg",
        "x/images/y/images/a.b.jpg",
        "images/images/a.jpg",
        "myimages/a.jpg",
        "new\nline/images/a\nb.jpg",
        "a.jpg",
    ],
)
def test_labels_lie_where_the_last_images_is_labels(key: str):
    expected = "labels/".join(f"/{key}".rsplit("images/", 1)) if "/images/" in f"/{key}" else key
    expected = expected.lstrip("/").removesuffix(".jpg") + ".txt"
    assert label_names(pa.array([key])).to_pylist() == [expected]


def test_labels_are_classes_with_relative_boxes(tmp_path: Path):
    put(tmp_path, TRAIN_VAL | config(names={0: "cat", 1: "dog"}))
    _, labels = opened(tmp_path)
    (label,) = labels.read(KEYS[:1], [None])
    assert label.columns["objects"] == [
        {"bbox": [0.5, 0.5, 0.25, 0.125], "category": "cat", "numbers": []},
        {"bbox": [0.1, 0.2, 0.3, 0.4], "category": "dog", "numbers": []},
    ]
    assert label.files == {"txt": BOXES.encode()}
    features = Features.from_dict(dict(labels.features))
    assert [o["category"] for o in features.encode_example(dict(label.columns))["objects"]] == [
        0,
        1,
    ]


def test_polygons_have_numbers_and_key_points_a_box_and_numbers(tmp_path: Path):
    line = "1 0.1 0.2 0.3 0.4 0.5 0.6 2\n"
    put(tmp_path / "pose", pictures(["images/train/a"], line) | config(val=None, kpt_shape=[1, 3]))
    put(tmp_path / "segment", pictures(["images/train/a"], line[:-3]) | config(val=None))
    pose, segment = (
        next(iter(labelled(tmp_path / name).values())).columns["objects"]
        for name in ("pose", "segment")
    )
    assert pose == [{"bbox": [0.1, 0.2, 0.3, 0.4], "category": "dog", "numbers": [0.5, 0.6, 2.0]}]
    assert segment[0]["bbox"] is None
    assert segment[0]["numbers"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_background_pictures_have_an_empty_label_file_or_none_here_and_in_the_export(
    tmp_path: Path,
):
    put(
        tmp_path / "in",
        TRAIN_VAL
        | pictures(["images/train/none"], None)
        | pictures(["images/train/empty"], "\n")
        | config(),
    )
    labels = labelled(tmp_path / "in")
    assert labels["images/train/none.jpg"] == Label({"objects": []})
    assert labels["images/train/empty.jpg"] == Label({"objects": []}, {"txt": b"\n"})
    store = exported(tmp_path / "in", tmp_path / "out")
    assert store.read("labels/train/empty__style.txt") == b"\n"
    assert not (tmp_path / "out/labels/train/none__style.txt").exists()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("0 1 1 1 1\n\n2 1 1 1 1\n", "line 3: there is no class 2 in "),
        ("-1 1 1 1 1", "line 1: there is no class -1"),
        ("0.5 1 1 1 1", "line 1: there is no class 0.5"),
        ("cat 1 1 1 1", "line 1: could not convert string to float: 'cat'"),
        ("0 1 1 1", "line 1: it should have a class and at least four"),
        ("0 1 1 1 nan", "line 1: it should have a class and at least four"),
        (b"\xff\xfe\x00", "line 1: could not convert"),
    ],
)
def test_a_damaged_label_is_one_line_with_its_file_and_line(tmp_path: Path, label, message):
    put(tmp_path, TRAIN_VAL | {"labels/train/b.txt": label} | config())
    with pytest.raises(SourceError) as error:
        labelled(tmp_path)
    assert f"--content: {tmp_path}/labels/train/b.txt, {message}" in str(error.value)


def test_an_export_copies_labels_and_every_key_but_the_places_of_the_source(tmp_path: Path):
    keys = {
        "path": "/content/x",
        "download": "import this",
        "nc": 2,
        "kpt_shape": [17, 3],
        "flip_idx": [0, 2, 1],
        "names": {0: "köter", 1: "b: c"},
    }
    put(tmp_path / "in", TRAIN_VAL | config(**keys))
    store = exported(tmp_path / "in", tmp_path / "out")
    assert store.read("images/train/a__style.png") == b"picture"
    assert store.read("labels/val/c__style.txt") == BOXES.encode()
    kept = {key: keys[key] for key in ("nc", "kpt_shape", "flip_idx", "names")}
    text = store.read("data.yaml").decode()
    assert yaml.safe_load(text) == {"train": "images/train", "val": "images/val", **kept}
    assert "köter" in text


def test_a_missing_split_is_noted_and_a_required_one_replaced(tmp_path: Path):
    files = TRAIN_VAL | pictures(["images/test/d"]) | config(test="images/test")
    put(tmp_path / "in", files)
    text = exported(tmp_path / "in", tmp_path / "out", ("train",)).read("data.yaml").decode()
    assert text.splitlines()[1:5] == [
        "train: images/train",
        "# no val pictures were exported: replace this",
        "val: images/train",
        "# no test pictures were exported",
    ]
    text = exported(tmp_path / "in", tmp_path / "test", ("test",)).read("data.yaml").decode()
    loaded = yaml.safe_load(text)
    assert [loaded[split] for split in ("train", "val", "test")] == ["images/test"] * 3
    whole = exported(tmp_path / "in", tmp_path / "whole").read("data.yaml").decode()
    assert "# no" not in whole
    assert yaml.safe_load(whole)["test"] == "images/test"


def test_pictures_of_no_split_are_train(tmp_path: Path):
    put(tmp_path / "in", TRAIN_VAL | config())
    _, labels = opened(tmp_path / "in")
    store = Store(str(tmp_path / "out"))
    label = Label(files={"txt": b"", "mask.png": b"mask"})
    writer = yolo.Writer(store, labels)
    writer.finish(iter([writer.write(0, [example("x", label, "")])]))
    assert store.read("images/train/x.png") == b"picture"
    assert store.read("masks/train/x.png") == b"mask"
    assert yaml.safe_load(store.read("data.yaml"))["train"] == "images/train"


def test_an_export_of_nothing_writes_nothing(tmp_path: Path):
    put(tmp_path / "in", TRAIN_VAL | config())
    writer = yolo.Writer(Store(str(tmp_path / "out")), opened(tmp_path / "in")[1])
    writer.finish(iter([writer.write(0, [])]))
    assert not (tmp_path / "out").exists()


def test_an_export_reads_as_a_dataset_with_the_same_labels(tmp_path: Path):
    put(tmp_path / "in", TRAIN_VAL | config())
    exported(tmp_path / "in", tmp_path / "out")
    source, _ = opened(tmp_path / "out")
    assert source.splits == ("train", "train", "val")
    before, after = labelled(tmp_path / "in"), labelled(tmp_path / "out")
    assert list(before.values()) == list(after.values())
    exported(tmp_path / "in", tmp_path / "one", ("train",))
    assert source_of(tmp_path / "one").splits == ("train", "train")


@pytest.mark.parametrize("name", ["", "/data.yaml"])
def test_a_dataset_in_an_object_store_is_read_and_exported_there(s3: str, name):
    files = TRAIN_VAL | pictures(["images/train/none"], None)
    put(f"{s3}/in", files | config(path="../elsewhere"))
    store = exported(f"{s3}/in{name}", f"{s3}/out")
    assert store.read("labels/train/a__style.txt") == BOXES.encode()
    assert not store.fs.exists(store.path("labels/train/none__style.txt"))
    source = source_of(f"{s3}/in{name}")
    assert source.keys == (*KEYS[:2], "images/train/none.jpg", KEYS[2])
    assert list(replace(source, storage_options={}).splits or ()) == ["train"] * 3 + ["val"]
    assert len(labelled(f"{s3}/out")) == 4
