"""Pascal VOC in, Pascal VOC out: an export has the annotations of the dataset."""

from __future__ import annotations

import pickle
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Features  # pyright: ignore[reportAttributeAccessIssue]

from styleid_ray.datasets import voc
from styleid_ray.datasets.example import Example
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.labels import Label
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source, skipped_line
from styleid_ray.datasets.voc.pictures import VocLabels
from styleid_ray.datasets.voc.xml import Annotation
from styleid_ray.errors import SourceError
from styleid_ray.storage.store import Store
from tests.datasets.voc_data import XML, lists, pictures, put

MASK = b"a mask, byte for byte"


def opened(url: Any) -> tuple[Source, VocLabels]:
    options = DatasetOptions(str(url), "content")
    files = list_files(options.url, options.what)
    assert voc.recognises(files)
    source = voc.source(files, options)
    return source, pickle.loads(pickle.dumps(voc.labels(options, source)))


def source_of(url: Any) -> Source:
    options = DatasetOptions(str(url), "content")
    return voc.source(list_files(options.url, options.what), options)


def labelled(url: Any) -> dict[str, Label]:
    source, labels = opened(url)
    keys = list(source.keys)
    return dict(zip(keys, labels.read(keys, [None] * len(keys)), strict=True))


def example(name: str, label: Label, split: str = "", **changes: Any) -> Example:
    whole = Example(name, ".png", b"picture", 500, 442, split, label, {})
    return replace(whole, **changes)


def canonical(xml: bytes) -> str:
    """An XML file without differences of form."""
    return ET.canonicalize(xml, with_comments=True, rewrite_prefixes=True)


def exported(url: Any, to: Any, splits: bool = True) -> Store:
    """Writes each picture of a dataset once, named NAME__style."""
    source, labels = opened(url)
    store = Store(str(to))
    writer = voc.Writer(store, labels)
    read = labels.read(list(source.keys), [None] * len(source.keys))
    parts = []
    for i, (key, label) in enumerate(zip(source.keys, read, strict=True)):
        name = f"{key.rpartition('/')[2].partition('.')[0]}__style"
        split = source.splits[i] if source.splits is not None else ""
        parts.append(writer.write(i, [example(name, label, split)]))
    writer.finish(iter(parts))
    return store


@pytest.mark.parametrize("year", ["", "VOC2012/", "VOCdevkit/VOC2012/"])
def test_a_devkit_is_recognised_at_the_top_or_below_its_folders(tmp_path: Path, year):
    put(tmp_path, pictures(["b", "a"], year) | lists(year, train=["a"], val=["b"]))
    source, _ = opened(tmp_path)
    assert source.keys == (f"{year}JPEGImages/a.jpg", f"{year}JPEGImages/b.jpg")
    assert source.splits == ("train", "val")


def test_folders_without_annotations_are_no_voc_dataset(tmp_path: Path):
    put(tmp_path, {"JPEGImages/a.jpg": b"", "a.xml": "", "Annotations/a.json": ""})
    assert not voc.recognises(list_files(str(tmp_path), "content"))


def test_years_side_by_side_are_taken_together_and_each_has_its_lists(tmp_path: Path):
    put(
        tmp_path,
        pictures(["a", "b"], "VOC2007/")
        | pictures(["a", "b"], "VOC2012/")
        | lists("VOC2007/", trainval=["a"], test=["b"])
        | lists("VOC2012/", train=["b"], val=["a"], trainval=["a", "b"]),
    )
    source, _ = opened(tmp_path)
    assert source.keys == tuple(
        f"VOC{year}/JPEGImages/{name}.jpg" for year in (2007, 2012) for name in "ab"
    )
    assert source.splits == ("train", "test", "val", "train")


def test_class_lists_are_no_splits_and_a_dataset_without_lists_has_none(tmp_path: Path):
    put(tmp_path, pictures(["a"]) | lists(dog_train=["a  1"], dog_trainval=["a  1"]))
    assert source_of(tmp_path).splits is None


def test_pictures_without_annotation_or_list_are_left_out_and_counted(tmp_path: Path):
    put(
        tmp_path,
        pictures(["a", "b", "c"])
        | {"JPEGImages/d.jpg": b"", "JPEGImages/e.png": b"", "JPEGImages/f.jpg": b""}
        | lists(train=["a", "d"], val=["", " b \r"]),
    )
    source = source_of(tmp_path)
    assert source.keys == ("JPEGImages/a.jpg", "JPEGImages/b.jpg")
    assert source.versions is not None
    assert len(source.versions) == 2
    assert skipped_line(source) == (
        "skipped 3 pictures without an annotation, 1 pictures in no list of ImageSets/Main"
    )


def test_names_with_dots_and_folders_find_their_annotations(tmp_path: Path):
    put(tmp_path, pictures(["a.b", "2007/new\nline", "JPEGImages/é"]) | lists(train=["a.b"]))
    assert set(source_of(tmp_path).keys) == {"JPEGImages/a.b.jpg"}
    (tmp_path / "ImageSets/Main/train.txt").unlink()
    assert len(labelled(tmp_path)) == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"Annotations/x.xml": ""}, r"Annotations/x.xml has no picture JPEGImages/x.jpg: put "),
        ({"JPEGImages/a.png": b""}, r"JPEGImages/a.jpg and JPEGImages/a.png share .*a.xml: remove"),
        (lists(train=["a", "gone"]), r"Main/train.txt lists gone, which has no picture"),
        (lists(train=["a"], val=["b", "a"]), r"Main/val.txt lists a, which is in another split"),
        (lists(train=[]), r"no picture with an annotation in a list"),
        ({"ImageSets/Main/val.txt": b"\xff\xfe"}, r"Main/val.txt: 'utf-8' codec"),
    ],
)
def test_files_that_do_not_fit_together_are_one_line_that_names_them(
    tmp_path: Path, files, message
):
    put(tmp_path, pictures(["a", "b"]) | files)
    with pytest.raises(SourceError, match=rf"--content: .*{message}") as error:
        source_of(tmp_path)
    assert "\n" not in str(error.value)


def test_labels_are_objects_with_boxes_as_written_and_the_labelled_size(tmp_path: Path):
    put(tmp_path, pictures(["a"]))
    _, labels = opened(tmp_path)
    (label,) = labels.read(["JPEGImages/a.jpg"], [None])
    dog, person = label.columns["objects"]
    assert dog == {
        "bbox": [53.5, 87.0, 471.0, 420.0],
        "category": "dog",
        "difficult": False,
        "truncated": True,
        "pose": "Frontal",
    }
    assert (person["difficult"], person["truncated"], person["pose"]) == (True, None, None)
    assert label.size == (500, 442)
    assert label.files == {"xml": XML.format(name="a").encode()}
    features = Features.from_dict(dict(labels.features))
    assert features.encode_example(dict(label.columns))["objects"][0]["category"] == "dog"


def test_sizes_of_zero_are_unknown_and_objects_without_a_box_have_none(tmp_path: Path):
    xml = (
        "<annotation><size><width>0</width><height>5</height></size>"
        "<object><name>a</name><polygon/></object></annotation>"
    )
    put(tmp_path, pictures(["a"]) | {"Annotations/a.xml": xml})
    (label,) = labelled(tmp_path).values()
    assert label.size is None
    assert label.columns["objects"][0]["bbox"] is None


def test_masks_come_with_the_pictures_that_have_them(tmp_path: Path):
    put(
        tmp_path,
        pictures(["a", "b"], "VOC2012/") | {"VOC2012/SegmentationClass/b.png": MASK},
    )
    a, b = labelled(tmp_path).values()
    assert set(a.files) == {"xml"}
    assert b.files["SegmentationClass.png"] == MASK


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
BOMB = f'<!DOCTYPE a [<!ENTITY e0 "ten letters">{ENTITIES}]><a>&e8;</a>'
FILE = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>'
DEEP = "<a>" * 10_000 + "</a>" * 10_000
BOX = "<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("", "no element found"),
        ("<annotation><size></annotation>", "mismatched tag: line 1"),
        (BOMB, "limit on input amplification factor"),
        (FILE, "undefined entity"),
        (DEEP, "its elements are nested 100 levels deep"),
        ("<?xml version='1.0' encoding='nothing'?><a/>", "unknown encoding"),
        ("<?xml version='1.0' encoding='gbk'?><a/>", "multi-byte encodings"),
        ("<a><object/></a>", "an object has no name"),
        (f"<a><object><name>x</name>{BOX.format('?')}</object></a>", "'x' is not four numbers: ?"),
        (f"<a><object><name>x</name>{BOX.format('nan')}</object></a>", "'x' is not four numbers"),
    ],
)
def test_a_damaged_annotation_is_one_line_that_names_its_file(tmp_path: Path, xml, message):
    put(tmp_path, pictures(["a"]) | {"Annotations/a.xml": xml})
    with pytest.raises(SourceError) as error:
        labelled(tmp_path)
    assert f"{tmp_path}/Annotations/a.xml: it is damaged (" in str(error.value)
    assert message in str(error.value)


def test_a_deleted_annotation_is_one_line_that_names_it(tmp_path: Path):
    put(tmp_path, pictures(["a"]))
    source, labels = opened(tmp_path)
    (tmp_path / "Annotations/a.xml").unlink()
    with pytest.raises(SourceError, match=r"Annotations/a.xml: the file does not exist"):
        labels.read(list(source.keys), [None])


def test_an_export_changes_only_what_names_the_picture_and_its_size(tmp_path: Path):
    put(tmp_path / "in", pictures(["a"]))
    store = exported(tmp_path / "in", tmp_path / "stylised")
    expected = XML.replace("VOC2012<", "stylised<").replace(
        "<filename>{name}.jpg", "<filename>a__style.png"
    )
    expected = expected.replace("/home/someone/{name}.jpg", "JPEGImages/a__style.png")
    assert canonical(store.read("Annotations/a__style.xml")) == canonical(expected.encode())
    assert store.read("JPEGImages/a__style.png") == b"picture"


def test_sizes_are_those_of_the_exported_picture_and_a_grey_original_stays_grey(tmp_path: Path):
    grey = XML.format(name="a").replace("<depth>3", "<depth>1")
    put(tmp_path / "in", pictures(["a"]) | {"Annotations/a.xml": grey})
    _, labels = opened(tmp_path / "in")
    (label,) = labels.read(["JPEGImages/a.jpg"], [None])
    store = Store(str(tmp_path / "out"))
    result = example("result", label, width=250, height=221)
    original = example("original", label, origin={"original": True})
    voc.Writer(store, labels).write(0, [result, original])
    for name, expected in (("result", ["250", "221", "3"]), ("original", ["500", "442", "1"])):
        size = ET.fromstring(store.read(f"Annotations/{name}.xml")).find("size")
        assert size is not None
        assert [child.text for child in size] == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "utf-16"])
def test_annotations_of_any_encoding_are_edited_and_written_as_utf_8(encoding):
    xml = (
        f"<?xml version='1.0' encoding='{encoding.replace('-sig', '')}'?>"
        "<a><!-- é > --><path/><filename a='x/'></filename><folder>é<!-- it goes --></folder>"
        "<name>é</name></a>"
    )
    edited = Annotation(xml.encode(encoding)).edited(
        {("path",): "p", ("filename",): "🎨 & <b>", ("folder",): "ü", ("size", "width"): "1"}
    )
    assert edited.decode() == (
        '<a><!-- é > --><path>p</path><filename a="x/">🎨 &amp; &lt;b&gt;</filename>'
        "<folder>ü</folder><name>é</name></a>"
    )


def test_comments_and_unknown_elements_stay_and_do_not_hide_labels():
    xml = (
        b"<a>\n<?tool 3?><x:b xmlns:x='http://x.test'>1<c/>2</x:b>"
        b"<object><name>do<!-- not a cat -->g</name></object><![CDATA[<x>]]></a>"
    )
    annotation = Annotation(xml)
    assert annotation.objects[0]["category"] == "dog"
    assert canonical(annotation.edited({})) == canonical(xml)


def test_texts_that_are_already_right_keep_their_blanks():
    xml = b"<a><filename> x.png </filename><folder><deep>z</deep></folder></a>"
    assert Annotation(xml).edited({("filename",): "x.png", ("folder",): "y"}) == xml


def test_lists_name_the_pictures_of_each_split_and_trainval_all_of_train_and_val(tmp_path: Path):
    splits = lists(train=["a"], val=["b"], test=["c"])
    put(tmp_path / "in", pictures("abc") | splits | {"SegmentationObject/b.png": MASK})
    store = exported(tmp_path / "in", tmp_path / "out")
    assert store.listed("ImageSets/Main") == [
        f"ImageSets/Main/{name}.txt" for name in ("test", "train", "trainval", "val")
    ]
    assert store.read("ImageSets/Main/train.txt") == b"a__style\n"
    assert store.read("ImageSets/Main/trainval.txt") == b"a__style\nb__style\n"
    assert store.read("SegmentationObject/b__style.png") == MASK
    assert store.read("ImageSets/Segmentation/val.txt") == b"b__style\n"
    assert len(store.listed("ImageSets/Segmentation")) == 2


def test_without_splits_all_pictures_are_in_trainval(tmp_path: Path):
    put(tmp_path / "in", pictures("ab"))
    store = exported(tmp_path / "in", tmp_path / "out")
    assert store.listed("ImageSets/Main") == ["ImageSets/Main/trainval.txt"]
    assert store.read("ImageSets/Main/trainval.txt") == b"a__style\nb__style\n"


def test_masks_of_the_job_are_exported_beside_the_dataset(tmp_path: Path):
    put(tmp_path / "in", pictures("a"))
    _, labels = opened(tmp_path / "in")
    (label,) = labels.read(["JPEGImages/a.jpg"], [None])
    label = replace(label, files={**label.files, "mask.png": MASK})
    store = Store(str(tmp_path / "out"))
    voc.Writer(store, labels).write(0, [example("x", label)])
    assert store.read("masks/x.png") == MASK


def test_an_export_of_nothing_writes_nothing(tmp_path: Path):
    put(tmp_path / "in", pictures("a"))
    writer = voc.Writer(Store(str(tmp_path / "out")), opened(tmp_path / "in")[1])
    writer.finish(iter([writer.write(0, [])]))
    assert not (tmp_path / "out").exists()


def test_an_export_reads_as_a_dataset_with_the_same_labels(tmp_path: Path):
    splits = lists(train=["a"], val=["b"])
    put(tmp_path / "in", pictures("ab") | splits | {"SegmentationClass/a.png": MASK})
    exported(tmp_path / "in", tmp_path / "out")
    source, _ = opened(tmp_path / "out")
    assert source.splits == ("train", "val")
    before, after = labelled(tmp_path / "in"), labelled(tmp_path / "out")
    assert [label.columns for label in before.values()] == [one.columns for one in after.values()]
    assert after["JPEGImages/a__style.png"].files["SegmentationClass.png"] == MASK


def test_a_dataset_in_an_object_store_is_read_and_exported_there(s3: str):
    put(f"{s3}/in", pictures("ab", "VOC2012/") | lists("VOC2012/", train="a", val="b"))
    store = exported(f"{s3}/in", f"{s3}/out")
    assert store.read("ImageSets/Main/trainval.txt") == b"a__style\nb__style\n"
    assert b"<filename>a__style.png</filename>" in store.read("Annotations/a__style.xml")
    assert list(labelled(f"{s3}/out")) == ["JPEGImages/a__style.png", "JPEGImages/b__style.png"]
