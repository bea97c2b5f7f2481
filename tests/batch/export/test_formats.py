"""Each dataset format: stylised, exported, opened by the format's own tool, labels unchanged."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from styleid_ray.errors import ConfigError
from tests.batch.conftest import draw
from tests.batch.export.conftest import Run
from tests.datasets.coco_data import CATEGORIES, PERSON, annotation_file, image, polygon

RunOf = Callable[..., Run]
SIZE = (72, 64)
CONTENTS = 3


def jpeg(seed: int, folder: Path) -> bytes:
    return draw(folder / "one.jpg", seed, SIZE).read_bytes()


def records(number: int) -> dict[str, Any]:
    return image(number, width=SIZE[0], height=SIZE[1])


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    for number in range(CONTENTS):
        draw(root / "train2017" / f"{number:012d}.jpg", number, SIZE)
    crowd = {"size": [64, 72], "counts": [100, 60, 4448]}
    annotations = [
        polygon(100 + n, n % CONTENTS, category_id=90 if n % 2 else 18, score=0.5 + n)
        for n in range(4)
    ]
    annotations.append(polygon(200, 1, segmentation=crowd, iscrowd=1, area=60))
    points = [
        polygon(7, n, category_id=1, num_keypoints=2, keypoints=[1.5, 2, 2, 0, 0, 0, 9, 8, 1])
        for n in range(CONTENTS)
    ]
    for n, one in enumerate(points):
        one["id"] += n
    for name, found, categories in (
        ("instances", annotations, CATEGORIES),
        ("person_keypoints", points, [PERSON]),
    ):
        path = root / "annotations" / f"{name}_train2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(annotation_file(map(records, range(CONTENTS)), found, categories))
    return root


@pytest.fixture(scope="module")
def painted(run_of: RunOf, coco: Path) -> Run:
    return run_of(coco, real=True)


def same(annotation: dict[str, Any]) -> dict[str, Any]:
    """An annotation without the fields that an export renumbers."""
    return {k: v for k, v in annotation.items() if k not in ("id", "image_id")}


def test_a_coco_dataset_is_exported_as_coco_with_areas_crowds_and_keypoints(
    painted: Run, coco: Path
) -> None:
    COCO: Any = import_module("pycocotools.coco").COCO

    run = painted
    result = run.export("coco", mix=2.0)
    assert (result.stylised, result.originals, result.left_out) == (6, 3, {})
    top = run.to / "train"
    for name in ("instances_train2017.json", "person_keypoints_train2017.json"):
        source, made = COCO(coco / "annotations" / name), COCO(top / "annotations" / name)
        assert made.dataset["categories"] == source.dataset["categories"]
        assert made.dataset["info"] == source.dataset["info"]
        assert len(made.anns) == 3 * len(source.anns)
        assert len(made.imgs) == 9
        for record in made.imgs.values():
            original = int(Path(record["content"]).stem)
            expected = [same(a) for a in source.imgToAnns[original]]
            assert [same(a) for a in made.imgToAnns[record["id"]]] == expected
            areas = [made.annToMask(a).sum() for a in made.imgToAnns[record["id"]]]
            assert areas == [source.annToMask(a).sum() for a in source.imgToAnns[original]]
            with Image.open(top / "images" / record["file_name"]) as picture:
                assert picture.size == (record["width"], record["height"]) == SIZE


def test_coco_labels_are_columns_of_parquet_and_members_of_tars(
    painted: Run, tmp_path: Path
) -> None:
    datasets, webdataset = map(import_module, ("datasets", "webdataset"))

    run = painted
    run.export("parquet")
    read = datasets.load_dataset("parquet", data_dir=str(run.to / "data"), cache_dir=str(tmp_path))
    rows = [row for split in read.values() for row in split]
    assert len(rows) == 6
    names = [category["name"] for category in CATEGORIES]
    feature = read["train"].features["objects"]
    assert all(name in str(feature) for name in names)
    first = next(row for row in rows if row["content"].endswith("000000.jpg"))
    assert str(first["objects"]).count("18.25") == 0
    assert first["image"].size == SIZE
    run.export("webdataset")
    tars = sorted(str(p) for p in run.to.rglob("*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert len(samples) == 6
    labels = json.loads(samples[0]["json"])
    assert labels["image"]["license"] == 3


VOC = """<annotation>
  <folder>VOC</folder><filename>{n}.jpg</filename>
  <size><width>72</width><height>64</height><depth>3</depth></size>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>3.5</xmin><ymin>4</ymin><xmax>40</xmax><ymax>50</ymax></bndbox></object>
  <mood>calm</mood>
</annotation>
"""


def test_a_voc_dataset_is_exported_as_voc(run_of: RunOf, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    root = tmp_path / "VOC2012"
    for n in range(CONTENTS):
        draw(root / "JPEGImages" / f"{n}.jpg", n, SIZE)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{n}.xml").write_text(VOC.format(n=n))
    run = run_of(root)
    result = run.export("voc", mix=2.0)
    assert (result.stylised, result.originals) == (6, 3)
    listed = (run.to / "ImageSets/Main/trainval.txt").read_text().split()
    assert len(set(listed)) == 9
    origins = [json.loads(line) for line in (run.to / "origin.jsonl").read_text().splitlines()]
    assert {row["file_name"] for row in origins} == {f"{name}.jpg" for name in listed}
    assert sum(row["original"] for row in origins) == 3
    for name in listed:
        tree = ElementTree.parse(run.to / f"Annotations/{name}.xml")
        assert tree.findtext("filename") == f"{name}.jpg"
        assert tree.findtext("object/bndbox/xmin") == "3.5"
        assert tree.findtext("mood") == "calm"
        with Image.open(run.to / f"JPEGImages/{name}.jpg") as picture:
            assert picture.size == SIZE


def test_a_yolo_dataset_is_exported_as_yolo_with_label_files_byte_for_byte(
    run_of: RunOf, tmp_path: Path
) -> None:
    root, label = tmp_path / "cars", "0 0.5 0.50 0.25 1e-1\n"
    for split in ("train", "val"):
        for n in range(2):
            draw(root / "images" / split / f"{n}.jpg", n, SIZE)
        (root / "labels" / split).mkdir(parents=True)
        (root / "labels" / split / "0.txt").write_text(label)
    (root / "data.yaml").write_text(
        yaml.safe_dump({"path": "/elsewhere", "train": "images/train", "val": "images/val"})
        + "names: {0: car}\n"
    )
    run = run_of(root, splits="train,val", share_styles=True)
    assert run.export("yolo", mix=1.0).originals == 4
    made = yaml.safe_load((run.to / "data.yaml").read_text())
    assert (made["names"], made["train"], made["val"]) == ({0: "car"}, "images/train", "images/val")
    for split in ("train", "val"):
        pictures = sorted((run.to / "images" / split).iterdir())
        assert len(pictures) == 6
        for picture in pictures:
            txt = run.to / "labels" / split / f"{picture.stem}.txt"
            background = picture.stem.startswith(f"images_{split}_1")
            assert not txt.exists() if background else txt.read_text() == label


def test_a_webdataset_is_exported_as_webdataset_and_its_report_shows_the_contents(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    webdataset = import_module("webdataset")

    from styleid_ray.batch.folder.output import Output
    from styleid_ray.report import write_report

    (tmp_path / "tars").mkdir()
    for t in range(2):
        with tarfile.open(tmp_path / f"tars/set-{t}.tar", "w") as tar:
            for n in range(2):
                members = {"jpg": jpeg(2 * t + n, tmp_path), "cls": b"7", "json": b'{"a": 1.50}'}
                for suffix, data in members.items():
                    info = tarfile.TarInfo(f"{t}{n}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    monkeypatch.setattr("styleid_ray.batch.run._FEW", 1)  # so that Ray indexes the tars
    run = run_of(tmp_path / "tars", real=True, style=str(tmp_path / "tars"))
    result = run.export("webdataset", mix=4.0)
    assert (result.stylised, result.originals) == (16, 4)
    tars = sorted(str(p) for p in run.to.glob("shard-*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert len({sample["__key__"] for sample in samples}) == 20
    assert {(sample["cls"], sample["json"]) for sample in samples} == {(b"7", b'{"a": 1.50}')}
    page = Path(write_report(Output(run.output))).read_text()
    assert page.count("data:image/webp") == 16 + 4 + 4


def test_a_parquet_dataset_is_exported_as_parquet_with_its_columns_and_classes(
    run_of: RunOf, tmp_path: Path
) -> None:
    datasets = import_module("datasets")

    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["ant", "bee"], "_type": "ClassLabel"},
        "note": {"dtype": "string", "_type": "Value"},
    }
    table = pa.table(
        {
            "image": [{"bytes": jpeg(n, tmp_path), "path": f"{n}.jpg"} for n in range(4)],
            "label": pa.array([0, 1, 1, 0]),
            "note": [f"note {n}" for n in range(4)],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (tmp_path / "set/data").mkdir(parents=True)
    for split, part in (("train", table.slice(0, 3)), ("test", table.slice(3))):
        pq.write_table(part, tmp_path / f"set/data/{split}-00000-of-00001.parquet")
    run = run_of(tmp_path / "set")
    assert "parquet, split train: 3 pictures" in run.messages.getvalue()
    assert run.export("parquet", mix=2.0).originals == 3
    read = datasets.load_dataset(str(run.to), cache_dir=str(tmp_path / "cache"))
    split = read["train"]
    assert split.features["label"].names == ["ant", "bee"]
    notes = {(row["note"], row["label"], row["original"]) for row in split}
    assert notes == {
        (f"note {n}", label, o) for n, label in enumerate([0, 1, 1]) for o in (True, False)
    }
    run.export("imagefolder")
    assert {p.parent.name for p in run.to.rglob("*.jpg")} >= {"ant", "bee"}


def test_hugging_face_reads_a_run_itself_without_a_hint(painted: Run, tmp_path: Path) -> None:
    datasets = import_module("datasets")

    run = painted
    read = datasets.load_dataset(
        "parquet", data_dir=f"{run.output}/data", split="train", cache_dir=str(tmp_path)
    )
    assert read[0]["image"].size == SIZE
    assert read.features["image"].__class__.__name__ == "Image"


def test_labels_made_before_an_exif_rotation_are_left_out_and_named(
    run_of: RunOf, tmp_path: Path
) -> None:
    draw(tmp_path / "in/images/0.jpg", 1, SIZE)
    turned = Image.open(draw(tmp_path / "in/images/1.jpg", 2, SIZE))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "in/images/1.jpg", exif=exif)
    found = [records(n) | {"file_name": f"{n}.jpg"} for n in range(2)]
    data = annotation_file(found, [polygon(n + 1, n) for n in range(2)])
    (tmp_path / "in/annotations").mkdir()
    (tmp_path / "in/annotations/instances.json").write_bytes(data)
    run = run_of(tmp_path / "in")
    result = run.export("coco", mix=1.0)
    assert (result.stylised, result.originals) == (2, 1)
    ((name, reason),) = result.left_out.items()
    assert name == "images/1.jpg"
    assert "EXIF rotation" in reason
    assert any("images/1.jpg" in line for line in result.lines())


def test_boxes_of_square_crops_are_refused_before_the_run_and_after_it(
    run_of: RunOf, coco: Path
) -> None:
    with pytest.raises(ConfigError, match="--fit keep"):
        run_of(coco, fit="crop", export="coco")
    run = run_of(coco, fit="crop")
    assert "an export of this run is refused: use --fit keep" in run.messages.getvalue()
    with pytest.raises(ConfigError, match="--fit keep"):
        run.export("parquet")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from tests.hub_server import serving, use

    with serving() as server:
        use(server, monkeypatch)
        yield server


def test_a_run_is_published_with_its_progress_first_and_its_pictures_last(
    run_of: RunOf, coco: Path, hub: Any
) -> None:
    run = run_of(coco, real=True, export="coco", push_to="someone/painted", shard_pairs=2)
    (repository,) = hub.repositories.values()
    assert repository.commits[0] == ["README.md"]
    export = Path(run.output) / "export/coco"
    assert {n for n in repository.files if n.endswith(".jpg")} == {
        str(p.relative_to(export)) for p in export.rglob("*.jpg")
    }
    assert "pairs done" not in repository.files["README.md"].decode()
    before = len(hub.uploads)
    run.export("coco", export, hub_id="someone/painted")
    assert len(hub.uploads) == before


def test_publishing_needs_a_token_before_any_work(
    run_of: RunOf, coco: Path, hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    job = {"output": str(tmp_path / "out"), "export": "coco", "push_to": "someone/painted"}
    with pytest.raises(ConfigError, match="HF_TOKEN"):
        run_of(coco, real=True, **job)
    assert not (tmp_path / "out").exists()
