"""Parquet datasets as Hugging Face lays them out: in and out."""

# Type checkers take `datasets` for the folder of these tests.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from PIL import Image

from styleid_ray.datasets.example import ORIGIN
from styleid_ray.datasets.features import IMAGE
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.folder import FolderLabels
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.labels import Label, Labels
from styleid_ray.datasets.masks import with_masks
from styleid_ray.datasets.options import DatasetOptions
from styleid_ray.datasets.parquet import Writer, labels, recognises, source
from styleid_ray.datasets.parquet.reader import ParquetLabels
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.storage.store import Store
from styleid_ray.storage.version import disk_version
from tests.datasets.large_files import example, labels_by_key, parquet_bytes, picture, pictures, put
from tests.hub_server import TOKEN, Repository, serving, use

PICTURES = pa.schema([("image", IMAGE)])
LABELLED = pa.schema([("image", IMAGE), ("label", pa.int64())])
CLASSES = {"names": ["cat", "dog / wolf"], "_type": "ClassLabel"}
FEATURES = {"image": {"_type": "Image"}, "label": CLASSES}


def cell(number: int) -> dict[str, Any]:
    return {"bytes": picture(number), "path": f"{number}.png"}


def read(options: DatasetOptions) -> Source:
    return source(list_files(options.url, options.what, options.storage_options), options)


def labels_of(found: Source, options: DatasetOptions) -> dict[str, Label]:
    return labels_by_key(labels(options, found), found)


def no_labels(features: Mapping[str, Any] | None = None) -> Labels:
    return ParquetLabels(Source("", ()), features or {})


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)


def test_each_row_gives_its_picture_and_its_class(tmp_path: Path) -> None:
    rows = [{"image": cell(n), "label": n % 2} for n in range(12)]
    rows[3]["label"] = -1
    options = put(tmp_path, {"x.parquet": parquet_bytes(rows, LABELLED, FEATURES, group=5)})
    found = read_source(options)
    assert found.format == "parquet"
    assert pictures(found) == {f"x.parquet/{n:02}": picture(n) for n in range(12)}
    read_back = list(labels_of(found, options).values())
    assert [label.columns for label in read_back] == [{"label": row["label"]} for row in rows]
    assert [label.folder for label in read_back[:4]] == ["cat", "dog _ wolf", "cat", ""]
    assert [label.files.get("cls") for label in read_back[:4]] == [b"0", b"1", b"0", None]
    made = labels(options, found)
    assert made.features == {"label": CLASSES}
    assert made.header == {"features": {"label": CLASSES}, "names": CLASSES["names"]}
    assert not made.geometry


def test_labels_are_read_for_any_rows_in_any_order(tmp_path: Path) -> None:
    files = {
        f"{name}.parquet": parquet_bytes(
            [{"image": cell(n), "label": start + n} for n in range(20)], LABELLED, group=3
        )
        for name, start in (("a", 0), ("b", 100))
    }
    options = put(tmp_path, files)
    found = read(options)
    chosen = [39, 0, 7, 22, 8, 21]
    keys = [found.keys[i] for i in chosen]
    places = [(found.places or ())[i] for i in chosen]
    values = [label.columns["label"] for label in labels(options, found).read(keys, places)]
    assert values == [119, 0, 7, 102, 8, 101]


def test_an_index_has_the_row_of_every_row_group(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"image": cell(n)} for n in range(7)], PICTURES)
    with pq.ParquetWriter(tmp_path / "x.parquet", PICTURES) as writer:
        for start, stop in ((0, 1), (1, 5), (5, 7)):
            writer.write_table(table.slice(start, stop - start))
    options = DatasetOptions(str(tmp_path), "content")
    found = read(options)
    assert list(found.places or ()) == [
        *("0/0 image", "1/0 image", "1/1 image", "1/2 image", "1/3 image"),
        *("2/0 image", "2/1 image"),
    ]
    assert list(found.keys) == sorted(found.keys)
    size, tag = disk_version((tmp_path / "x.parquet").stat()).split(":")
    assert set(found.versions or ()) == {f"{int(size) // 7}:{tag}"}


@pytest.mark.parametrize(
    ("schema", "features", "column"),
    [
        ([("a", IMAGE), ("b", IMAGE)], {"a": {}, "b": {"_type": "Image"}}, "b"),
        ([("id", pa.string()), ("a", IMAGE), ("image", pa.binary())], None, "a"),
        ([("id", pa.binary()), ("Image", pa.large_binary())], None, "Image"),
        ([("jpg", pa.binary())], None, "jpg"),
    ],
)
def test_the_column_of_pictures_is_recognised_by_features_type_or_name(
    tmp_path: Path, schema: list[Any], features: dict[str, Any] | None, column: str
) -> None:
    kinds = pa.schema(schema)
    value = cell(1) if pa.types.is_struct(kinds.field(column).type) else picture(1)
    options = put(tmp_path, {"x.parquet": parquet_bytes([{column: value}], kinds, features)})
    found = read(options)
    assert list(found.places or ()) == [f"0/0 {column}"]
    assert list(pictures(found).values()) == [picture(1)]


def test_a_file_without_pictures_is_one_line_with_its_columns(tmp_path: Path) -> None:
    kinds = pa.schema([("text", pa.string()), ("data", pa.binary())])
    options = put(tmp_path, {"x.parquet": parquet_bytes([{"text": "a"}], kinds)})
    with pytest.raises(SourceError, match=r"x\.parquet has no column of pictures among text, data"):
        read(options)
    empty = put(tmp_path / "other", {"x.parquet": parquet_bytes([], PICTURES)})
    with pytest.raises(SourceError, match="have no rows"):
        read(empty)


def test_files_that_differ_are_one_line_that_names_one_and_its_column(tmp_path: Path) -> None:
    other = pa.schema([("image", IMAGE), ("label", pa.string())])
    options = put(
        tmp_path,
        {
            "a.parquet": parquet_bytes([{"image": cell(1), "label": 1}], LABELLED),
            "b.parquet": parquet_bytes([{"image": cell(1), "label": "x"}], other),
        },
    )
    match = r"b\.parquet and a\.parquet differ in the column label \(string, int64\)"
    with pytest.raises(SourceError, match=match):
        read(options)


def test_files_whose_classes_differ_are_refused_since_numbers_would_mean_two_things(
    tmp_path: Path,
) -> None:
    row = [{"image": cell(1), "label": 1}]
    others = {**FEATURES, "label": {**CLASSES, "names": ["dog", "cat"]}}
    options = put(
        tmp_path,
        {
            "a.parquet": parquet_bytes(row, LABELLED, FEATURES),
            "b.parquet": parquet_bytes(row, LABELLED, others),
        },
    )
    with pytest.raises(SourceError, match=r"differ in the column label .*or its classes"):
        read(options)


def test_a_damaged_file_is_one_line_that_names_it(tmp_path: Path) -> None:
    good = parquet_bytes([{"image": cell(1)}], PICTURES)
    options = put(tmp_path, {"a.parquet": good, "b.parquet": good[:-20]})
    with pytest.raises(
        SourceError, match=r"--content: b\.parquet is not a readable Parquet"
    ) as error:
        read(options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], "train test"),
        (["data/validation-00000-of-00002-ab12.parquet"], "val"),
        (["data/extra-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"], "extra train"),
        (["default/train/0000.parquet", "default/test/0000.parquet"], "train test"),
        (["a_train.parquet", "eval.parquet"], "train test"),
        (["0.parquet", "train.parquet"], None),
    ],
)
def test_splits_are_read_from_names_as_by_hugging_face(
    tmp_path: Path, names: list[str], splits: str | None
) -> None:
    data = parquet_bytes([{"image": cell(1)}], PICTURES)
    found = read(put(tmp_path, dict.fromkeys(names, data)))
    told = dict(zip(found.keys, found.splits, strict=True)) if found.splits else None
    wanted = {f"{n}/0": s for n, s in zip(names, (splits or "").split(), strict=False)}
    assert told == (wanted if splits else None)


def test_styles_are_read_from_parquet_too_and_have_no_splits(tmp_path: Path) -> None:
    data = parquet_bytes([{"image": cell(1)}], PICTURES)
    put(tmp_path, {"train.parquet": data, "samples.jpg": b"strip of a card"})
    found = read_source(DatasetOptions(str(tmp_path), "style"))
    assert (found.format, found.splits) == ("parquet", None)
    put(tmp_path, {"loose.png": b"picture"})
    assert not recognises(list_files(str(tmp_path), "style"))


def box_rows() -> tuple[pa.Schema, dict[str, Any], list[dict[str, Any]]]:
    """A detection dataset with masks, as Hugging Face stores it."""
    number = {"dtype": "int64", "_type": "Value"}
    box = {"feature": {"dtype": "float32", "_type": "Value"}, "length": 4, "_type": "Sequence"}
    category = {"names": ["car", "tree"], "_type": "ClassLabel"}
    features = {
        "image": {"_type": "Image"},
        "width": number,
        "height": number,
        "objects": {"feature": {"bbox": box, "category": category}, "_type": "Sequence"},
        "mask": {"_type": "Image"},
        "content": {"dtype": "string", "_type": "Value"},
        "taken": {"dtype": "timestamp[us]", "_type": "Value"},
        "grid": {"shape": [2, 2], "dtype": "int32", "_type": "Array2D"},
    }
    objects = pa.struct(
        [("bbox", pa.list_(pa.list_(pa.float32(), 4))), ("category", pa.list_(pa.int64()))]
    )
    schema = pa.schema(
        [
            *(("image", IMAGE), ("width", pa.int64()), ("height", pa.int64())),
            *(("objects", objects), ("mask", IMAGE), ("content", pa.string())),
            *(("taken", pa.timestamp("us")), ("grid", pa.list_(pa.list_(pa.int32())))),
        ]
    )
    rows = [
        {
            "image": cell(n),
            "width": 8,
            "height": 6,
            "objects": {"bbox": [[0.5, 1, 2, 3]] * n, "category": [n % 2] * n},
            "mask": {"bytes": picture(n + 90), "path": None} if n else None,
            "content": f"é{n}",
            "taken": datetime(2024, 1, 2, 3, 4, n),
            "grid": [[1, 2], [3, n]],
        }
        for n in range(3)
    ]
    return schema, features, rows


def test_boxes_masks_and_columns_whose_names_are_taken_come_along(tmp_path: Path) -> None:
    schema, features, rows = box_rows()
    options = put(tmp_path, {"x.parquet": parquet_bytes(rows, schema, features)})
    found = read(options)
    made = labels(options, found)
    assert made.geometry
    assert list(made.features) == [
        *("source_width", "source_height", "objects", "mask", "source_content", "taken", "grid")
    ]
    assert made.features["objects"] == features["objects"]
    for row, label in zip(rows, labels_of(found, options).values(), strict=True):
        assert label.size == (8, 6)
        assert label.columns["objects"] == row["objects"]
        assert label.columns["source_content"] == row["content"]
        assert "mask" not in label.columns
        assert label.files.get("mask.png") == (row["mask"] or {}).get("bytes")
        text = json.loads(label.files["json"])
        assert text["content"] == row["content"]
        assert text["objects"] == row["objects"]
        assert "mask" not in text


def test_a_further_picture_keeps_the_extension_of_its_format(tmp_path: Path) -> None:
    schema = pa.schema([("image", IMAGE), ("mask", IMAGE)])
    formats = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "TIFF": "tif"}
    masks = [*(picture(9, name) for name in formats), b"no picture"]
    rows = [{"image": cell(n), "mask": {"bytes": mask}} for n, mask in enumerate(masks)]
    features = {name: {"_type": "Image"} for name in ("image", "mask")}
    options = put(tmp_path, {"x.parquet": parquet_bytes(rows, schema, features)})
    files = [dict(label.files) for label in labels_of(read(options), options).values()]
    suffixes = [*formats.values(), "png"]
    assert files == [{f"mask.{s}": mask} for s, mask in zip(suffixes, masks, strict=True)]


@pytest.mark.parametrize("split", ["", "train"])
def test_an_export_is_a_dataset_again_with_the_same_labels(tmp_path: Path, split: str) -> None:
    schema, features, rows = box_rows()
    options = put(tmp_path / "in", {"x.parquet": parquet_bytes(rows, schema, features)})
    found = read(options)
    made, first = labels(options, found), labels_of(found, options)
    examples = [example(n, label, split) for n, label in enumerate(first.values())]
    Writer(Store(str(tmp_path / "out")), made).write(0, iter(examples))
    second = DatasetOptions(str(tmp_path / "out"), "content")
    again = read_source(second)
    assert list(pictures(again).values()) == [one.picture for one in examples]
    for before, after in zip(first.values(), labels_of(again, second).values(), strict=True):
        kept = {name: after.columns[name] for name in before.columns if name in after.columns}
        assert {"objects", "taken", "grid", "source_content"} <= set(kept)
        assert kept == {name: before.columns[name] for name in kept}
        assert after.files.get("mask.png") == before.files.get("mask.png")


@pytest.mark.parametrize("splits", [("",), ("train", "val"), ("train", "val", "test")])
def test_hugging_face_reads_an_export_with_its_splits_and_features(
    tmp_path: Path, splits: tuple[str, ...]
) -> None:
    names = ("cat", "dog")
    masks = DatasetOptions("", "content", label_masks=str(tmp_path))
    made = with_masks(FolderLabels(False, names), masks)
    writer = Writer(Store(str(tmp_path / "out")), made)
    for item in range(2):
        label = Label({"label": names[item]}, {"mask.png": picture(9)}, names[item])
        writer.write(item, (example(10 * item + n, label, s) for n in range(20) for s in splits))
    writer.finish(iter([b"", b""]))
    root = str(tmp_path / "out")
    for loaded in (
        datasets.load_dataset(root),
        datasets.load_dataset("parquet", data_dir=root),
    ):
        known = {"": "train", "val": "validation"}
        assert set(loaded) == {known.get(split, split) for split in splits}
        for part in loaded.values():
            assert part.num_rows == 40
            assert part.features["label"] == datasets.ClassLabel(names=list(names))
            assert part.features["image"] == part.features["mask"] == datasets.Image()
            assert set(part[:]["label"]) == {0, 1}
            assert part[0]["image"].size == part[0]["mask"].size == (8, 6)
            assert (part[0]["style"], part[0]["gamma"], part[0]["width"]) == ("s.png", 0.75, 8)


def test_hugging_face_reads_boxes_of_an_export(tmp_path: Path) -> None:
    schema, features, rows = box_rows()
    options = put(tmp_path / "in", {"x.parquet": parquet_bytes(rows, schema, features)})
    found = read(options)
    examples = [example(n, one) for n, one in enumerate(labels_of(found, options).values())]
    Writer(Store(str(tmp_path / "out")), labels(options, found)).write(0, iter(examples))
    loaded = datasets.load_dataset(str(tmp_path / "out"))["train"]
    assert loaded[2]["objects"] == rows[2]["objects"]
    assert loaded[0]["mask"] is None
    assert loaded[1]["mask"].size == (8, 6)
    category = loaded.features["objects"]["category"].feature
    assert category == datasets.ClassLabel(names=["car", "tree"])
    assert loaded[1]["grid"] == [[1, 2], [3, 1]]


def test_a_dataset_that_hugging_face_wrote_is_read_with_its_features(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": datasets.List(
                {"bbox": datasets.List(datasets.Value("float32"), length=4), "name": CLASS}
            ),
            "label": CLASS,
            "score": datasets.Value("float16"),
        }
    )
    rows = [
        {
            "image": {"bytes": picture(n), "path": None},
            "objects": [{"bbox": [0, 1, 2, 3], "name": 1}] * n,
            "label": n % 2,
            "score": 0.5,
        }
        for n in range(4)
    ]
    made = datasets.Dataset.from_list(rows, features=features)
    (tmp_path / "in").mkdir()
    made.to_parquet(str(tmp_path / "in" / "train-00000-of-00001.parquet"))
    options = DatasetOptions(str(tmp_path / "in"), "content")
    found = read_source(options)
    assert list(pictures(found).values()) == [picture(n) for n in range(4)]
    assert labels(options, found).features == {
        name: feature for name, feature in features.to_dict().items() if name != "image"
    }
    read_back = list(labels_of(found, options).values())
    assert [label.columns["objects"] for label in read_back] == [row["objects"] for row in rows]
    assert [label.folder for label in read_back[:2]] == ["no", "yes"]


CLASS = datasets.ClassLabel(names=["no", "yes"])


def test_every_file_of_an_export_has_one_schema_and_small_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = {"note": {"dtype": "string", "_type": "Value"}}
    writer = Writer(Store(str(tmp_path)), no_labels(features))
    writer.write(0, (example(n, Label()) for n in range(40)))
    writer.write(1, (example(n, Label({"note": "x"})) for n in range(2)))
    monkeypatch.setattr("styleid_ray.datasets.parquet.writer._GROUP_BYTES", 2**16)
    big = bytes(2**15)
    writer.write(2, (example(n, Label(), data=big) for n in range(5)))
    files = [pq.ParquetFile(path) for path in sorted((tmp_path / "data").iterdir())]
    assert len({file.schema_arrow.to_string(show_schema_metadata=True) for file in files}) == 1
    sizes = [
        [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
        for file in files
    ]
    assert sizes == [[16, 16, 8], [2], [3, 2]]
    assert files[0].schema_arrow.names == ["image", "width", "height", "note", *ORIGIN]


def test_labels_and_writers_travel_to_other_processes(tmp_path: Path) -> None:
    schema, features, rows = box_rows()
    options = put(tmp_path / "in", {"x.parquet": parquet_bytes(rows, schema, features)})
    found = read(options)
    made = pickle.loads(pickle.dumps(labels(options, found)))
    writer = pickle.loads(pickle.dumps(Writer(Store(str(tmp_path / "out")), made)))
    writer.write(0, [example(0, made.read(found.keys[:1], (found.places or ())[:1])[0])])
    assert len(read(DatasetOptions(str(tmp_path / "out"), "content")).keys) == 1


def test_writing_a_part_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        Writer(Store(str(tmp_path / name)), no_labels()).write(3, [example(1, Label())])
    a, b = (tmp_path / name / "data" / "shard-000003.parquet" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_a_class_that_is_unknown_or_a_column_that_cannot_be_stored_is_an_error(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path))
    writer = Writer(store, no_labels({"label": CLASSES}))
    with pytest.raises(ConfigError, match="fox is no class of cat"):
        writer.write(0, [example(1, Label({"label": "fox"}))])
    with pytest.raises(ConfigError, match=r"label column clip .*type Video.*export as webdataset"):
        Writer(store, no_labels({"clip": {"_type": "Video"}}))
    assert not (tmp_path / "data").exists()


def test_a_dataset_in_a_bucket_is_read_and_exported_there(s3: str) -> None:
    schema, features, rows = box_rows()
    store = s3fs.S3FileSystem()
    for name in ("train", "test"):
        data = parquet_bytes(rows, schema, features)
        store.pipe_file(f"{s3}/in/data/{name}-00000-of-00001.parquet", data)
    options = DatasetOptions(f"{s3}/in", "content")
    found = read(options)
    assert list(pictures(found).values()) == [picture(n) for n in (0, 1, 2)] * 2
    read_back = labels_of(found, options)
    writer = Writer(Store(f"{s3}/out"), labels(options, found))
    numbered = enumerate(zip(read_back.values(), found.splits or (), strict=True))
    writer.write(0, (example(n, label, split) for n, (label, split) in numbered))
    again = read(DatasetOptions(f"{s3}/out", "content"))
    assert list(again.splits or ()) == ["test"] * 3 + ["train"] * 3
    assert all(Image.open(io.BytesIO(data)) for data in pictures(again).values())


@pytest.mark.parametrize("revision", ["", "@~parquet"])
def test_a_dataset_of_the_hub_is_read_by_its_url(
    monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    rows = [{"image": cell(n), "label": n % 2} for n in range(5)]
    data = parquet_bytes(rows, LABELLED, FEATURES)
    with serving() as server:
        use(server, monkeypatch)
        files = {f"default/{split}/0000.parquet": data for split in ("train", "test")}
        server.repositories["someone/cars"] = Repository(files=files)
        access = {"endpoint": server.endpoint, "token": TOKEN}
        url = f"hf://datasets/someone/cars{revision}/default"
        options = DatasetOptions(url, "content", storage_options=access)
        found = read_source(options)
        assert list(pictures(found).values()) == [picture(n) for n in range(5)]
        assert set(found.splits or ()) == {"train"}
        assert [label.folder for label in labels_of(found, options).values()][:2] == [
            "cat",
            "dog _ wolf",
        ]


def test_no_pictures_are_read_while_a_bucket_is_indexed(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"image": {"bytes": bytes([n]) * 2**20, "path": None}} for n in range(8)]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, PICTURES), buffer, compression="none")
    s3fs.S3FileSystem().pipe_file(f"{s3}/in/x.parquet", buffer.getvalue())
    sizes: list[int] = []
    get = s3fs.S3FileSystem._call_s3

    async def counted(fs: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        answer = await get(fs, method, *args, **kwargs)
        if method == "get_object":
            sizes.append(answer["ContentLength"])
        return answer

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    assert len(read(DatasetOptions(f"{s3}/in", "content")).keys) == 8
    assert sum(sizes) <= 2**17
