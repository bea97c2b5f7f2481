"""Class folders in, class folders out: with labels, originals, splits and masks."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.verify import repair, verify
from styleid_ray.errors import ConfigError, JobError, SourceError
from tests.batch.conftest import draw
from tests.batch.export.conftest import Run

RunOf = Callable[..., Run]
CLASSES = ("ant", "bee")


def class_folders(root: Path, classes: tuple[str, ...] = CLASSES, each: int = 2) -> Path:
    for c, name in enumerate(classes):
        for i in range(each):
            draw(root / name / f"{i}.jpg", 10 * c + i, (64 + 8 * i, 80))
    return root


@pytest.fixture(scope="module")
def insects(run_of: RunOf, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(class_folders(tmp_path_factory.mktemp("insects")), real=True)


def files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def metadata(root: Path) -> list[dict]:
    return [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]


def test_class_folders_stay_class_folders(insects: Run) -> None:
    result = insects.export("imagefolder")
    names = {f"{c}/{c}_{i}__{s}.jpg" for c in CLASSES for i in "01" for s in "st"}
    beside = {"metadata.jsonl", "README.md", "samples.jpg", ".export.json"}
    assert files(insects.to) == names | beside
    assert (result.stylised, result.originals, result.left_out) == (8, 0, {})
    # The classes of torchvision's ImageFolder: every folder, and each has pictures.
    folders = sorted(entry.name for entry in os.scandir(insects.to) if entry.is_dir())
    assert folders == list(CLASSES)
    with Image.open(insects.to / "ant/ant_1__s.jpg") as image:
        assert image.size == (72, 80)


def test_hugging_face_reads_pictures_labels_and_origins(insects: Run, tmp_path: Path) -> None:
    datasets = import_module("datasets")

    insects.export("imagefolder")
    read = datasets.load_dataset(
        "imagefolder", data_dir=str(insects.to), split="train", cache_dir=str(tmp_path)
    )
    rows = {(r["content"], r["style"]): r for r in read}
    assert len(rows) == 8
    row = rows["bee/1.jpg", "t.png"]
    assert (row["label"], row["original"], row["k"], row["gamma"]) == ("bee", False, 0, 0.75)
    assert row["image"].size == (72, 80)


def test_originals_are_mixed_in_once_each_byte_for_byte_and_marked(insects: Run) -> None:
    result = insects.export("imagefolder", insects.folder / "mixed", mix=2.0)
    assert (result.stylised, result.originals) == (8, 4)
    marked = [row for row in metadata(insects.to) if row["original"]]
    assert {row["file_name"] for row in marked} == {
        f"{c}/{c}_{i}.jpg" for c in CLASSES for i in "01"
    }
    for row in marked:
        source = Path(insects.options["content"]) / row["content"]
        assert (insects.to / row["file_name"]).read_bytes() == source.read_bytes()
        assert (row["label"], row["style"]) == (row["content"][:3], None)
    # Too few results for the ratio: some of the originals are taken, the same ones each time.
    few = insects.export("imagefolder", insects.folder / "few", mix=8.0)
    assert few.originals < 4
    none = replace(few, originals=0).lines(mixed=True)[0]
    assert "8 stylised pictures and 0 originals (chosen by a hash of the name)" in none
    assert "originals" not in replace(few, originals=0).lines()[0]


def test_a_second_export_has_nothing_to_do_and_an_interrupted_one_resumes(insects: Run) -> None:
    insects.export("imagefolder", insects.folder / "twice")
    before = {p: p.stat().st_mtime_ns for p in insects.to.rglob("*.jpg")}
    insects.export("imagefolder", insects.to)
    assert "nothing to do" in insects.messages.getvalue()
    assert {p: p.stat().st_mtime_ns for p in insects.to.rglob("*.jpg")} == before


def test_a_place_with_other_content_is_refused(insects: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match=r"not empty.*thesis\.tex"):
        insects.export("imagefolder", tmp_path)
    insects.export("imagefolder", tmp_path / "one")
    with pytest.raises(ConfigError, match=r"other options .*format: imagefolder, now parquet"):
        insects.export("parquet", tmp_path / "one")


def test_an_export_among_the_contents_is_refused(insects: Run) -> None:
    inside = f"{insects.options['content']}/exported"
    with pytest.raises(ConfigError, match=r"--to .*lies in --content"):
        insects.export("imagefolder", inside)
    with pytest.raises(ConfigError, match=r"--output .*lies in --content"):
        insects.stylize(output=f"{insects.options['content']}/run", export="imagefolder")


def test_labels_of_another_kind_are_refused_before_anything_is_written(
    insects: Run, tmp_path: Path
) -> None:
    for format in ("coco", "voc", "yolo"):
        with pytest.raises(ConfigError, match="imagefolder"):
            insects.export(format, tmp_path / format)
        assert not (tmp_path / format).exists()
    with pytest.raises(ConfigError, match=r"--export yolo.*folder dataset"):
        insects.stylize(output=str(tmp_path / "new"), export="yolo")
    assert not (tmp_path / "new" / "_run").exists()


def test_a_partial_run_is_exported_and_the_export_grows_with_it(
    run_of: RunOf, tmp_path: Path
) -> None:
    content = class_folders(tmp_path / "in")
    run = run_of(content, shard_pairs=2)
    output = Output(run.output)
    for shard in sorted(output.finished())[1:]:
        output.delete(f"data/{shard}.parquet")
    first = run.export("imagefolder")
    assert (first.stylised, first.planned) == (2, 8)
    assert any("2 of 8 pairs so far" in line for line in first.lines())
    run.stylize()
    assert run.export("imagefolder", run.to).stylised == 8
    assert len(metadata(run.to)) == 8


def test_a_content_that_failed_is_left_out_and_named(run_of: RunOf, tmp_path: Path) -> None:
    content = class_folders(tmp_path / "in")
    (content / "ant/0.jpg").write_bytes(b"no picture")
    run = run_of(content)
    result = run.export("imagefolder", mix=1.0)
    assert (result.stylised, result.originals, result.failed) == (6, 3, ["ant/0.jpg"])
    assert "ant/0.jpg" in (run.to / "README.md").read_text()
    assert not [row for row in metadata(run.to) if row["content"] == "ant/0.jpg"]


def test_only_train_is_stylised_by_default_and_splits_keep_their_names(
    run_of: RunOf, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        class_folders(tmp_path / "in" / split)
    run = run_of(tmp_path / "in")
    assert "split train: 4 pictures" in run.messages.getvalue()
    assert run.export("imagefolder").stylised == 8
    assert {row["file_name"] for row in metadata(run.to / "train")} >= {"ant/train_ant_0__s.jpg"}
    assert not (run.to / "val").exists()


def test_splits_share_no_style_unless_asked(run_of: RunOf, tmp_path: Path) -> None:
    for split in ("train", "val"):
        class_folders(tmp_path / "in" / split, each=1)
    for seed in range(6):
        draw(tmp_path / "styles" / f"{seed}.png", seed)
    styles = {"style": str(tmp_path / "styles"), "splits": "train,val"}

    def used(run: Run) -> list[set[str]]:
        run.export("imagefolder")
        return [{row["style"] for row in metadata(run.to / s)} for s in ("train", "val")]

    train, val = used(run_of(tmp_path / "in", **styles))
    assert train
    assert val
    assert not train & val
    assert len(train | val) == 6
    train, val = used(run_of(tmp_path / "in", share_styles=True, **styles))
    assert train == val
    assert len(train) == 6


def test_label_masks_lie_beside_every_picture_byte_for_byte(run_of: RunOf, tmp_path: Path) -> None:
    content = class_folders(tmp_path / "in")
    for picture in content.rglob("*.jpg"):
        mask = tmp_path / "masks" / picture.relative_to(content).with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.open(picture).convert("L").save(mask)
    run = run_of(content, label_masks=str(tmp_path / "masks"))
    run.export("imagefolder", mix=2.0)
    rows = metadata(run.to)
    assert len(rows) == 12
    for row in rows:
        mask = (tmp_path / "masks" / row["content"]).with_suffix(".png")
        assert (run.to / row["mask_file_name"]).read_bytes() == mask.read_bytes()
        assert row["mask_file_name"].removeprefix("masks/")[:-4] in row["file_name"]
    (tmp_path / "masks/ant/0.png").unlink()
    with pytest.raises(SourceError, match=r"no mask for ant/0\.jpg"):
        run.stylize(output=str(tmp_path / "again"))


def test_masks_of_square_crops_are_refused(run_of: RunOf, tmp_path: Path) -> None:
    content = class_folders(tmp_path / "in", each=1)
    masks = class_folders(tmp_path / "masks", each=1)
    for mask in masks.rglob("*.jpg"):
        mask.rename(mask.with_suffix(".png"))
    run = run_of(content, fit="crop", label_masks=str(masks))
    with pytest.raises(ConfigError, match="--fit keep"):
        run.export("imagefolder")


def test_an_original_with_exif_rotation_and_its_result_have_one_size(
    run_of: RunOf, tmp_path: Path
) -> None:
    draw(tmp_path / "in/ant/0.jpg", 1, (64, 96))
    image = Image.open(tmp_path / "in/ant/0.jpg")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "in/ant/0.jpg", exif=exif)
    run = run_of(tmp_path / "in")
    run.export("parquet", mix=1.0)
    import pyarrow.dataset as pads

    table = pads.dataset(str(run.to / "data")).to_table(["width", "height", "original"])
    assert {tuple(r.values()) for r in table.to_pylist()} == {(96, 64, False), (96, 64, True)}


def test_a_run_with_pictures_beside_its_shards_is_exported_alike(
    run_of: RunOf, tmp_path: Path
) -> None:
    run = run_of(class_folders(tmp_path / "in", each=1), format="files")
    assert run.export("imagefolder").stylised == 4
    picture = next((Path(run.output) / "images").iterdir())
    picture.unlink()
    with pytest.raises(JobError, match="verify --repair"):
        run.export("imagefolder", tmp_path / "again")
    output = Output(run.output)
    repair(output, verify(output))
    run.stylize()
    assert run.export("imagefolder", tmp_path / "again").stylised == 4


def test_stylize_exports_at_its_end(run_of: RunOf, tmp_path: Path) -> None:
    run = run_of(class_folders(tmp_path / "in", each=1), real=True, export="imagefolder")
    assert len(metadata(Path(run.output) / "export" / "imagefolder")) == 4
    assert "4 stylised pictures as imagefolder" in run.messages.getvalue()


def test_many_shards_are_exported_on_ray_into_a_bucket(
    run_of: RunOf, tmp_path: Path, s3: str, s3_options: dict[str, str]
) -> None:
    import s3fs

    run = run_of(class_folders(tmp_path / "in", each=5), shard_pairs=1)
    result = run.export("imagefolder", f"{s3}/export", storage_options=s3_options)
    assert result.stylised == 20
    store = s3fs.S3FileSystem()
    store.invalidate_cache()
    lines = store.cat_file(f"{s3}/export/metadata.jsonl").splitlines()
    assert len({json.loads(line)["file_name"] for line in lines}) == 20
    names = store.find(f"{s3}/export")
    assert not [name for name in names if "/.export/" in name]
    assert Image.open(io.BytesIO(store.cat_file(f"{s3}/export/ant/ant_0__s.jpg"))).size == (64, 80)


def test_pictures_with_one_name_in_nested_folders_are_all_exported(
    run_of: RunOf, tmp_path: Path
) -> None:
    for seed, name in enumerate(("dog/2020/a.jpg", "dog/2021/a.jpg", "cat/a.jpg")):
        draw(tmp_path / "in" / name, seed)
    run = run_of(tmp_path / "in")
    run.export("imagefolder", mix=2.0)
    names = [row["file_name"] for row in metadata(run.to)]
    assert len(set(names)) == 9
    assert all((run.to / name).exists() for name in names)


def test_exports_with_different_options_are_not_mixed(insects: Run, tmp_path: Path) -> None:
    insects.export("imagefolder", tmp_path / "one", mix=2.0)
    with pytest.raises(ConfigError, match=r"mix: 2\.0, now None"):
        insects.export("imagefolder", tmp_path / "one")


def test_rows_of_a_table_that_differ_in_gamma_alone_have_separate_pictures(
    run_of: RunOf, tmp_path: Path
) -> None:
    content = class_folders(tmp_path / "set")
    rows = "".join(f"ant/0.jpg,s.png,{gamma}\n" for gamma in (0.3, 0.6, 0.9))
    (tmp_path / "pairs.csv").write_text(f"content,style,gamma\n{rows}")
    run = run_of(content, pairing="table", table=str(tmp_path / "pairs.csv"))
    run.export("imagefolder")
    listed = {row["file_name"]: row["gamma"] for row in metadata(run.to)}
    assert sorted(listed.values()) == [0.3, 0.6, 0.9]
    made = {str(x.relative_to(run.to)) for x in run.to.glob("*/*.jpg")}
    assert made == set(listed)


def test_a_pairing_table_adds_its_columns_to_the_labels(run_of: RunOf, tmp_path: Path) -> None:
    content = class_folders(tmp_path / "in")
    (tmp_path / "pairs.csv").write_text(
        "content,style,weather,split\nant/0.jpg,s.png,rain,train\nbee/1.jpg,t.png,sun,val\n"
    )
    run = run_of(content, pairing="table", table=str(tmp_path / "pairs.csv"))
    run.export("imagefolder")
    rows = [row for split in ("train", "val") for row in metadata(run.to / split)]
    assert [(row["label"], row["weather"]) for row in rows] == [("ant", "rain"), ("bee", "sun")]
    for value in ("../../elsewhere", ""):
        table = f"content,style,split\nant/0.jpg,s.png,{value}\n"
        (tmp_path / "pairs.csv").write_text(table)
        with pytest.raises(SourceError, match="column split"):
            run.stylize(output=str(tmp_path / "new"))
