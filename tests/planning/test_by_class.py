"""Pairing by class meets the styles of the content's class, or of all others."""

from __future__ import annotations

import io
import json
import pickle
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from styleid_ray.config import SourceOptions
from styleid_ray.datasets.options import in_threads
from styleid_ray.errors import SourceError
from styleid_ray.planning import classes as reading
from styleid_ray.planning.pairing import make_pairs
from tests.planning.conftest import picture_bytes

CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def options(folder):
    """Options with class folders of contents and of styles."""

    def make(contents=None, styles=None, **rest) -> SourceOptions:
        per_class = [f"{name}/{i}.png" for name in CLASSES for i in range(5)]
        content = folder("content", per_class if contents is None else contents)
        style = folder("style", [*per_class, "none.png"] if styles is None else styles)
        asked = {"content": str(content), "style": str(style), "pairing": "by-class", **rest}
        return SourceOptions(**asked)

    return make


def classes(config: SourceOptions) -> list[tuple[str, str]]:
    """Content and style of each pair."""
    return [
        tuple(row.values())
        for row in make_pairs(config).table.select(["content", "style"]).to_pylist()
    ]


def first(key: str) -> str:
    return key.partition("/")[0]


def test_styles_come_from_the_folder_of_the_contents_class(options):
    pairs = classes(options(styles_per_content=3))
    assert len(pairs) == len(set(pairs)) == 45
    assert all(first(content) == first(style) for content, style in pairs)


def test_other_takes_the_styles_of_every_other_class(options):
    pairs = classes(options(styles_per_content=11, style_classes="other"))
    assert len(pairs) == len(set(pairs)) == 15 * 11
    met = {(first(content), first(style)) for content, style in pairs}
    assert {style for content, style in met if content == "dog"} == {"cat", "owl", "none.png"}


def test_the_folder_of_the_split_is_no_class(options):
    contents = [
        f"{split}/{name}/{i}.png" for split in ("train", "val") for name in CLASSES for i in "ab"
    ]
    pairs = classes(options(contents, splits=("train", "val"), share_styles=True))
    assert all(content.split("/")[1] == first(style) for content, style in pairs)


def test_more_contents_leave_the_styles_of_the_others_alone(options):
    before = classes(options(styles_per_content=2))
    after = classes(
        options([f"{name}/new{i}.png" for name in CLASSES for i in range(9)], styles_per_content=2)
    )
    assert set(before) < set(after)
    assert after != classes(options(styles_per_content=2, seed=1))


@pytest.mark.parametrize("column", ["kind", "name"])
def test_a_column_of_a_parquet_dataset_names_the_class(options, tmp_path, column):
    root = tmp_path / "parquet"
    root.mkdir()
    kinds = [0, 2, 1, 2]
    table = pa.table(
        {
            "image": [{"bytes": picture_bytes(), "path": None}] * 4,
            "kind": kinds,
            "name": [CLASSES[i] for i in kinds],
        }
    )
    features = {
        "image": {"_type": "Image"},
        "kind": {"_type": "ClassLabel", "names": list(CLASSES)},
        "name": {"_type": "Value", "dtype": "string"},
    }
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(meta), root / "train.parquet", row_group_size=2)
    config = options().model_copy(update={"content": str(root), "class_column": column})
    assert [first(style) for _, style in classes(config)] == [CLASSES[i] for i in kinds]
    with pytest.raises(SourceError, match=r"--class-column label: .* has kind, name"):
        classes(config.model_copy(update={"class_column": "label"}))
    with pytest.raises(SourceError, match=r"by-class: name the column .* has kind, name"):
        classes(config.model_copy(update={"class_column": None}))


def test_a_task_carries_the_keys_of_its_own_contents_alone(options, tmp_path, monkeypatch):
    root = tmp_path / "parquet"
    root.mkdir()
    image = {"bytes": picture_bytes(), "path": None}
    table = pa.table({"image": [image] * 400, "kind": ["owl"] * 400})
    features = {"image": {"_type": "Image"}, "kind": {"_type": "Value", "dtype": "string"}}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(meta), root / "train.parquet")
    monkeypatch.setattr(reading, "_CHUNK", 10)
    sizes: list[int] = []

    def spread(function, items):
        if function.func is reading._read:
            sizes.extend(len(pickle.dumps(item)) for item in items)
        return in_threads(function, items)

    config = options().model_copy(update={"content": str(root), "class_column": "kind"})
    pairs = make_pairs(config, None, spread).table
    assert {first(style) for style in pairs["style"].to_pylist()} == {"owl"}
    assert len(sizes) == 40
    assert max(sizes) < 3000


def test_a_label_file_of_a_webdataset_names_the_class(options, tmp_path):
    root = tmp_path / "tars"
    root.mkdir()
    with tarfile.open(root / "train-0.tar", "w") as tar:
        for i, name in enumerate(["owl", "cat"]):
            for suffix, data in (("png", picture_bytes()), ("cls", name.encode())):
                member = tarfile.TarInfo(f"{i}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    config = options().model_copy(update={"content": str(root), "class_column": "cls"})
    assert [first(style) for _, style in classes(config)] == ["owl", "cat"]


def test_classes_without_styles_are_named_with_the_remedy(options):
    contents = [f"{name}/1.png" for name in (*CLASSES, "eel", "fox", "gnu", "hen")]
    with pytest.raises(
        SourceError,
        match=r"4 classes have no styles of their own \(eel, fox, gnu, …\): make a folder",
    ):
        classes(options(contents))


def test_a_class_that_is_the_only_one_has_no_styles_of_others(options):
    with pytest.raises(SourceError, match=r"1 classes have no styles of other classes \(cat\)"):
        classes(options(["cat/1.png"], ["cat/1.png"], style_classes="other"))


def test_a_class_with_too_few_styles_is_named(options):
    with pytest.raises(SourceError, match=r"6: 3 classes have fewer .*\(cat: 5, .*at most 5"):
        classes(options(styles_per_content=6))


def test_contents_of_no_class_are_named(options):
    with pytest.raises(SourceError, match=r"1 contents have no class \(bare.png\): put them into"):
        classes(options(["cat/1.png", "bare.png"]))


def test_a_column_of_plain_folders_is_refused(options):
    with pytest.raises(SourceError, match="--class-column cls: a folder dataset has no such"):
        classes(options(class_column="cls"))
