"""WebDataset: tars of samples in, tars of samples out."""

# What `webdataset` exports is not seen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import io
import json
import pickle
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
import s3fs
import webdataset as wds
from PIL import Image

from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.labels import Label
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.webdataset import Writer, labels, recognises, source
from styleid_ray.datasets.webdataset.reader import TarLabels
from styleid_ray.errors import SourceError
from styleid_ray.storage.store import Store
from styleid_ray.storage.version import disk_version
from tests.datasets.large_files import example, labels_by_key, picture, pictures, put, tar_bytes

NO_LABELS = TarLabels(Source("", ()), {}, False)


def read(options: DatasetOptions) -> Source:
    return source(list_files(options.url, options.what, options.storage_options), options)


def labels_of(found: Source, options: DatasetOptions) -> dict[str, Label]:
    return labels_by_key(labels(options, found), found)


def test_each_sample_gives_its_picture_and_its_labels_byte_for_byte(tmp_path: Path) -> None:
    notes = {"a": b'{"x":  1.50 }', "b": b'{"y": "\xc3\xa9"}\n'}
    options = put(
        tmp_path,
        {
            "shard-0.tar": tar_bytes(
                {
                    "a.cls": b"3",
                    "a.jpg": picture(1, "JPEG"),
                    "a.json": notes["a"],
                    "deep/folder.x/b.cls": b"12\n",
                    "deep/folder.x/b.json": notes["b"],
                    "deep/folder.x/b.png": picture(2),
                }
            ),
            "shard-1.tar": tar_bytes(
                {"c.mask.png": picture(9), "c.webp": picture(3, "WEBP"), "c.txt": b"a dog"}
            ),
        },
    )
    found = read_source(options)
    assert found.format == "webdataset"
    assert pictures(found) == {
        "shard-0.tar/a.jpg": picture(1, "JPEG"),
        "shard-0.tar/deep/folder.x/b.png": picture(2),
        "shard-1.tar/c.webp": picture(3, "WEBP"),
    }
    a, b, c = labels_of(found, options).values()
    assert a.files == {"cls": b"3", "json": notes["a"]}
    assert a.columns == {"cls": 3, "json": notes["a"].decode(), "txt": None}
    assert a.folder == "3"
    assert b.files == {"cls": b"12\n", "json": notes["b"]}
    assert b.columns["cls"] == 12
    assert c.files == {"mask.png": picture(9), "txt": b"a dog"}
    assert c.columns == {"cls": None, "json": None, "txt": "a dog"}
    assert labels(options, found).features == {
        "cls": {"dtype": "int64", "_type": "Value"},
        "json": {"dtype": "string", "_type": "Value"},
        "txt": {"dtype": "string", "_type": "Value"},
        "mask": {"_type": "Image"},
    }


def test_in_a_sample_of_two_pictures_the_jpeg_is_the_picture_and_the_png_a_label(
    tmp_path: Path,
) -> None:
    members = {"a.png": picture(1), "a.jpg": picture(2, "JPEG")}
    options = put(tmp_path, {"x.tar": tar_bytes(members)})
    found = read(options)
    assert pictures(found) == {"x.tar/a.jpg": picture(2, "JPEG")}
    (label,) = labels_of(found, options).values()
    assert label.files == {"png": picture(1)}
    assert labels(options, found).geometry


def test_files_that_are_no_samples_are_counted(tmp_path: Path) -> None:
    buffer = io.BytesIO(tar_bytes({"a.jpg": picture(1), "b.json": b"{}", "README": b"text"}))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for kind, name in ((tarfile.DIRTYPE, "folder.d"), (tarfile.SYMTYPE, "c.jpg")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            tar.addfile(info)
        for name in ("../d.jpg", "__meta__", "._a.jpg", "bad\udcff.jpg", "./e.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"data"))
    options = put(tmp_path, {"x.tar": buffer.getvalue(), "list.csv": b"a,b"})
    found = read(options)
    assert list(found.keys) == ["x.tar/a.jpg", "x.tar/e.jpg"]
    assert dict(found.skipped) == {
        ".csv": 1,
        "members of tars that belong to no sample": 4,
        "samples without a picture": 1,
    }


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_of_any_script_are_read(tmp_path: Path, format: int) -> None:
    names = ["f" * 120 + "/" + "n" * 130, "Ångström 猫", "plain"]
    members = {
        f"{n}.{suffix}": data
        for n in names
        for suffix, data in (("jpg", n.encode()), ("txt", n[::-1].encode()))
    }
    options = put(tmp_path, {"x.tar": tar_bytes(members, format)})
    found = read(options)
    assert pictures(found) == {f"x.tar/{n}.jpg": n.encode() for n in sorted(names)}
    assert {key: label.files["txt"] for key, label in labels_of(found, options).items()} == {
        f"x.tar/{n}.jpg": n[::-1].encode() for n in sorted(names)
    }


def test_keys_are_sorted_in_whatever_order_tars_are_read(tmp_path: Path) -> None:
    tars = {f"{n}.tar": tar_bytes({f"{m}.png": picture(m) for m in (2, 1)}) for n in "ba"}
    plain = put(tmp_path, tars)

    def elsewhere(function: Any, items: Sequence[Any]) -> list[Any]:
        function = pickle.loads(pickle.dumps(function))
        return [pickle.loads(pickle.dumps(function(item))) for item in reversed(items)]

    backwards = DatasetOptions(plain.url, "content", spread=elsewhere)
    keys = ["a.tar/1.png", "a.tar/2.png", "b.tar/1.png", "b.tar/2.png"]
    for options in (plain, backwards):
        found = read(options)
        assert list(found.keys) == keys
        made = pickle.loads(pickle.dumps(labels(options, found)))
        assert made.read(keys, list(found.places or ())) == [Label()] * 4
        assert pictures(found)["b.tar/2.png"] == picture(2)


def test_the_version_of_a_picture_is_its_size_and_the_change_of_its_tar(tmp_path: Path) -> None:
    options = put(tmp_path, {"x.tar": tar_bytes({"a.png": picture(1)})})
    tag = disk_version((tmp_path / "x.tar").stat()).partition(":")[2]
    assert list(read(options).versions or ()) == [f"{len(picture(1))}:{tag}"]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train-000000.tar", "val-000000.tar"], ["train", "val"]),
        (["imagenet1k-train-0001.tar", "imagenet1k-validation-00.tar"], ["train", "val"]),
        (["test/0.tar", "train/0.tar", "train/1.tar"], ["test", "train", "train"]),
        (["train-0.tar", "more-0.tar"], None),
        (["val-0.tar", "test-0.tar"], None),
        (["0.tar"], None),
    ],
)
def test_splits_are_read_from_the_names_of_all_tars(
    tmp_path: Path, names: list[str], splits: list[str] | None
) -> None:
    options = put(tmp_path, {name: tar_bytes({"a.png": picture(1)}) for name in names})
    found = read(options)
    by_tar = dict(zip(found.keys, found.splits or (), strict=True)) if found.splits else None
    assert by_tar == (
        splits and {f"{n}/a.png": s for n, s in sorted(zip(names, splits, strict=True))}
    )
    styles = DatasetOptions(options.url, "style")
    assert read(styles).splits is None


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def overwritten(data: bytes) -> bytes:
    second = data.index(b"b.png")
    return data[:second] + b"\xff" * 512 + data[second + 512 :]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (cut, "unexpected end of data"),
        (overwritten, "no header of a member at byte"),
        (lambda data: b"no tar at all" * 100, "invalid header"),
    ],
)
def test_a_damaged_tar_is_one_line_that_names_it(
    tmp_path: Path, spoil: Callable[[bytes], bytes], why: str
) -> None:
    good = tar_bytes({"a.png": bytes(3000), "b.png": bytes(3000)})
    options = put(tmp_path, {"good.tar": good, "bad.tar": spoil(good)})
    with pytest.raises(
        SourceError, match=rf"--content: bad\.tar is not a readable tar .*{why}"
    ) as error:
        read(options)
    assert "leave it out" in str(error.value)
    assert "\n" not in str(error.value)


def test_samples_whose_members_are_not_adjacent_are_refused_since_labels_would_be_lost(
    tmp_path: Path,
) -> None:
    members = {"a.jpg": b"1", "b.jpg": b"2", "a.cls": b"1", "b.cls": b"2"}
    options = put(tmp_path, {"x.tar": tar_bytes(members)})
    with pytest.raises(SourceError, match=r"x\.tar .*the members of a are not side by side"):
        read(options)
    options = put(tmp_path, {"x.tar": tar_bytes([("a.jpg", b"1"), ("a.jpg", b"2")])})
    with pytest.raises(SourceError, match=r"a\.jpg is in it twice"):
        read(options)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.tar.zst"])
def test_compressed_tars_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    options = put(tmp_path, {name: b"anything", "y.tar": tar_bytes({"a.png": picture(1)})})
    with pytest.raises(SourceError, match=rf"{name} is compressed.*make a plain \.tar"):
        read_source(options)


def test_tars_without_pictures_are_one_line_that_shows_a_name(tmp_path: Path) -> None:
    options = put(tmp_path, {"x.tar": tar_bytes({"a.mp3": b"sound", "a.json": b"{}"})})
    with pytest.raises(SourceError, match=r"1 tars, and no sample .*first file is a\.mp3.*NAME"):
        read(options)


def test_loose_pictures_make_a_plain_folder_except_the_samples_of_a_card(
    tmp_path: Path,
) -> None:
    options = put(tmp_path, {"x.tar": tar_bytes({"a.png": b"1"}), "samples.jpg": b"strip"})
    assert recognises(list_files(options.url, "content"))
    put(tmp_path, {"loose.jpg": b"picture"})
    assert not recognises(list_files(options.url, "content"))
    put(tmp_path / "other", {"a.txt": b""})
    assert not recognises(list_files(str(tmp_path / "other"), "content"))


def test_labels_of_a_tar_that_was_replaced_are_an_error(tmp_path: Path) -> None:
    options = put(tmp_path, {"x.tar": tar_bytes({"a.png": picture(1), "a.cls": b"1"})})
    found = read(options)
    made = labels(options, found)
    put(tmp_path, {"x.tar": tar_bytes({"z.png": picture(1), "z.cls": b"2"})})
    with pytest.raises(SourceError, match=r"labels of x\.tar/a\.png .*the tar has changed"):
        made.read(list(found.keys), list(found.places or ()))


@pytest.mark.parametrize(
    ("files", "geometry"),
    [
        ({"cls": b"1", "txt": b"text"}, False),
        ({"json": b'{"url": "x", "caption": "boxing", "width": 5}'}, False),
        ({"json": b'{"objects": [{"bbox": [1, 2, 3, 4]}]}'}, True),
        ({"json": b'{"info": {"key_points": 1, "seg_mask": 2}}'}, True),
        ({"xml": b"<a/>"}, True),
        ({"mask.png": b"1"}, True),
        ({}, False),
    ],
)
def test_coordinates_and_masks_are_recognised_by_names(
    tmp_path: Path, files: Mapping[str, bytes], geometry: bool
) -> None:
    members = {"a.png": picture(1), **{f"a.{suffix}": data for suffix, data in files.items()}}
    options = put(tmp_path, {"x.tar": tar_bytes(members)})
    assert labels(options, read(options)).geometry is geometry


def test_classes_that_are_words_are_text_and_one_word_among_numbers_is_an_error(
    tmp_path: Path,
) -> None:
    def tar(*classes: bytes) -> bytes:
        members = [
            (f"{i}.{s}", d) for i, c in enumerate(classes) for s, d in (("cls", c), ("png", c))
        ]
        return tar_bytes(members)

    options = put(tmp_path, {"x.tar": tar(b"cat", b"a/../dog")})
    found = read(options)
    assert [label.columns["cls"] for label in labels_of(found, options).values()] == [
        "cat",
        "a/../dog",
    ]
    assert [label.folder for label in labels_of(found, options).values()] == ["cat", "a_.._dog"]
    many = [b"%d" % n for n in range(100)]
    many[50] = b"cat"
    options = put(tmp_path, {"x.tar": tar(*many)})
    with pytest.raises(SourceError, match=r"x\.tar/50\.png: its cls is cat, and a number"):
        labels_of(read(options), options)


class Requests:
    """Counts what is asked of S3."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.names: list[str] = []
        call, lock = s3fs.S3FileSystem._call_s3, threading.Lock()

        async def counted(
            fs: s3fs.S3FileSystem, method: str, *args: object, **kwargs: object
        ) -> object:
            with lock:
                self.names.append(method)
                for value in (*args, kwargs):
                    span = value.get("Range") if isinstance(value, Mapping) else None
                    if span:
                        start, end = span.removeprefix("bytes=").split("-")
                        self.sizes.append(int(end) - int(start) + 1)
            return await call(fs, method, *args, **kwargs)

        monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)


def test_a_tar_of_large_pictures_in_a_bucket_is_indexed_without_reading_them(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = bytes(3 * 2**20)
    members = [(f"{n}.{s}", d) for n in range(6) for s, d in (("jpg", large), ("json", b"{}"))]
    s3fs.S3FileSystem().pipe_file(f"{s3}/set/x.tar", tar_bytes(members))
    options = DatasetOptions(f"{s3}/set", "content")
    listed = list_files(options.url, "content")
    requests = Requests(monkeypatch)
    found = source(listed, options)
    assert len(found.keys) == 6
    assert set(requests.names) == {"get_object"}
    assert len(requests.sizes) == len(requests.names) <= 8
    assert sum(requests.sizes) < 2**18
    assert len(pictures(found)["x.tar/3.jpg"]) == len(large)


def test_a_tar_of_many_small_pictures_in_a_bucket_takes_few_requests(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"{n:04}.jpg": bytes(30_000) for n in range(400)}
    s3fs.S3FileSystem().pipe_file(f"{s3}/set/x.tar", tar_bytes(members))
    options = DatasetOptions(f"{s3}/set", "content")
    listed = list_files(options.url, "content")
    requests = Requests(monkeypatch)
    assert len(source(listed, options).keys) == 400
    assert len(requests.names) <= 5


def test_labels_beside_a_large_picture_are_read_without_it(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {"a.cls": b"5", "a.jpg": bytes(5 * 2**20), "a.json": b'{"box": 1}'}
    s3fs.S3FileSystem().pipe_file(f"{s3}/set/x.tar", tar_bytes(members))
    options = DatasetOptions(f"{s3}/set", "content")
    found = read(options)
    requests = Requests(monkeypatch)
    (label,) = labels_of(found, options).values()
    assert label.files == {"cls": b"5", "json": b'{"box": 1}'}
    assert sum(requests.sizes) < 2**18


def test_a_tar_behind_a_presigned_url_is_read_and_its_keys_hold_no_signature(s3: str) -> None:
    store = s3fs.S3FileSystem()
    store.pipe_file(f"{s3}/x.tar", tar_bytes({"a.jpg": b"picture", "a.cls": b"1"}))
    options = DatasetOptions(store.sign(f"{s3}/x.tar"), "content")
    found = read_source(options)
    assert found.format == "webdataset"
    assert pictures(found) == {"x.tar/a.jpg": b"picture"}
    assert labels_of(found, options)["x.tar/a.jpg"].files == {"cls": b"1"}
    assert "ignature" not in f"{found.root} {list(found.keys)} {found!r}"


def test_a_dataset_in_a_bucket_is_read_and_exported_there(s3: str) -> None:
    files = {"train/0.tar": {"a.jpg": b"1", "a.cls": b"7"}, "val/0.tar": {"b.jpg": b"2"}}
    for name, members in files.items():
        s3fs.S3FileSystem().pipe_file(f"{s3}/in/{name}", tar_bytes(members))
    options = DatasetOptions(f"{s3}/in", "content")
    found = read(options)
    assert pictures(found) == {"train/0.tar/a.jpg": b"1", "val/0.tar/b.jpg": b"2"}
    read_back = labels_of(found, options)
    store = Store(f"{s3}/out")
    writer = Writer(store, NO_LABELS)
    numbered = enumerate(zip(read_back.values(), found.splits or (), strict=True))
    assert writer.write(0, (example(n, label, split) for n, (label, split) in numbered)) == b""
    writer.finish(iter([b""]))
    assert s3fs.S3FileSystem().exists(f"{s3}/out/val/shard-000000.tar")
    again = read(DatasetOptions(f"{s3}/out", "content"))
    assert list(again.splits or ()) == ["train", "val"]


def test_an_export_is_read_by_the_webdataset_library_with_its_labels(tmp_path: Path) -> None:
    examples = [
        example(n, Label({}, {"cls": b"%d" % n, "json": b'{"n": %d }' % n, "mask.png": picture(n)}))
        for n in range(3)
    ]
    Writer(Store(str(tmp_path)), NO_LABELS).write(4, iter(examples))
    url = f"file:{tmp_path}/shard-000004.tar"
    rows = list(wds.WebDataset(url, shardshuffle=False))
    assert [row["__key__"] for row in rows] == [one.name for one in examples]
    for one, row in zip(examples, rows, strict=True):
        assert row["png"] == one.picture
        assert {name: row[name] for name in one.label.files} == one.label.files
        assert json.loads(row["origin.json"]) == one.origin
    decoded = list(wds.WebDataset(url, shardshuffle=False).decode("pil"))
    assert [row["png"].size for row in decoded] == [(8, 6)] * 3
    assert [row["cls"] for row in decoded] == [0, 1, 2]
    assert decoded[1]["json"] == {"n": 1}


def test_hugging_face_reads_an_export_with_its_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    writer = Writer(Store(str(tmp_path / "out")), NO_LABELS)
    for item in range(2):
        label = Label({}, {"cls": b"%d" % item, "mask.png": picture(7)})
        writer.write(item, (example(10 * item + n, label, ["train", "val"][n]) for n in (0, 1)))
    loaded = datasets.load_dataset(str(tmp_path / "out"))
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 2, "validation": 2}
    row = loaded["train"][1]
    assert (row["__key__"], row["cls"], row["png"].size) == ("c10__s", 1, (8, 6))
    assert (row["mask.png"].size, row["origin.json"]["style"]) == ((8, 6), "s.png")


def test_a_tar_that_holds_nothing_costs_no_other(tmp_path: Path) -> None:
    options = put(tmp_path, {"a.tar": tar_bytes({}), "b.tar": tar_bytes({"a.png": picture(1)})})
    assert list(read(options).keys) == ["b.tar/a.png"]


def test_writing_a_part_again_gives_the_same_bytes(tmp_path: Path) -> None:
    examples = [example(n, Label({}, {"cls": b"1"})) for n in range(3)]
    for name in "ab":
        Writer(Store(str(tmp_path / name)), NO_LABELS).write(0, iter(examples))
    a, b = (tmp_path / name / "shard-000000.tar" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_label_files_whose_names_are_taken_keep_their_bytes_under_others(tmp_path: Path) -> None:
    label = Label({}, {"png": b"a mask", "origin.json": b"of a first export", "origin2.json": b"x"})
    one = example(0, label)
    Writer(Store(str(tmp_path)), NO_LABELS).write(0, iter([one]))
    (row,) = wds.WebDataset(f"file:{tmp_path}/shard-000000.tar", shardshuffle=False)
    assert row["png"] == one.picture
    assert row["label.png"] == b"a mask"
    assert (row["origin.json"], row["origin2.json"]) == (b"of a first export", b"x")
    assert json.loads(row["origin3.json"]) == one.origin


def test_an_export_is_a_dataset_again_with_the_same_labels(tmp_path: Path) -> None:
    members = {
        f"{n}.{suffix}": data
        for n in range(5)
        for suffix, data in (
            ("cls", b"%d" % n),
            ("jpg", picture(n, "JPEG")),
            ("mask.png", picture(n + 50)),
            ("txt", f"é{n}".encode()),
        )
    }
    options = put(tmp_path / "in", {"x.tar": tar_bytes(members)})
    found = read(options)
    first = labels_of(found, options)
    examples = [example(n, label) for n, label in enumerate(first.values())]
    Writer(Store(str(tmp_path / "out")), labels(options, found)).write(0, iter(examples))
    second = DatasetOptions(str(tmp_path / "out"), "content")
    again = read_source(second)
    assert list(pictures(again).values()) == [one.picture for one in examples]
    assert all(Image.open(io.BytesIO(data)).size == (8, 6) for data in pictures(again).values())
    for before, after in zip(first.values(), labels_of(again, second).values(), strict=True):
        files = dict(after.files)
        assert json.loads(files.pop("origin.json"))["style"] == "s.png"
        assert files == before.files
        assert (after.columns, after.folder) == (before.columns, before.folder)


def test_no_tar_is_held_in_memory_while_it_is_written(tmp_path: Path) -> None:
    import tracemalloc

    data = bytes(2**20)
    examples = (example(n, Label(), data=bytes(data)) for n in range(40))
    tracemalloc.start()
    Writer(Store(str(tmp_path)), NO_LABELS).write(0, examples)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 2**20 < (tmp_path / "shard-000000.tar").stat().st_size
