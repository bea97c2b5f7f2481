"""The card of a dataset: read back as the hub, `datasets` and a reader of Markdown would."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard
from PIL import Image

from styleid_ray.config import ExportFormat
from styleid_ray.datasets.card import Card, LabelKind, strip
from styleid_ray.datasets.hub import Hub
from tests.hub_server import environment, serving, use

NASTY = 'a|b\n---\n: "<b>`*_x_*`[c](d) ${{ 1 }} {% raw %} \\'
CARD = Card(
    name="Stylised cars",
    format="imagefolder",
    content="s3://bucket/cars",
    style="s3://bucket/paintings",
    contents=300,
    styles=40,
    stylised=1200,
    originals=300,
    splits={"train": 1300, "val": 200},
    parameters={"preset": "paper", "steps": 50, "gamma": 0.75, "adain": True, "layers": (6, 7, 8)},
    model="CompVis/stable-diffusion-v1-4",
    revision="133a221b8aa7292a167afc5127cb63fb5005638b",
    version="0.2.0",
)


def front_matter(card: Card) -> dict[str, Any]:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card.text(), re.DOTALL)[1])  # pyright: ignore


def rows(card: Card) -> dict[str, list[str]]:
    """The rows of all tables, by their first cells, as they are shown."""
    lines = [line for line in card.text().splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    plain = [[re.sub(r"\\(\W|_)", r"\1", cell.strip()) for cell in row] for row in cells]
    return {first: rest for first, *rest in plain}


def code(card: Card) -> str:
    return re.search(r"```python\n(.*?)\n```", card.text(), re.DOTALL)[1]  # pyright: ignore


def png(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="png")
    return buffer.getvalue()


def test_a_card_lists_sources_counts_parameters_model_and_version() -> None:
    table = rows(CARD)
    assert table["content"] == ["…/cars", "300"]
    assert table["style"] == ["…/paintings", "40"]
    assert table["stylised"] == ["1,200"]
    assert table["originals mixed in"] == ["300"]
    assert table["split val"] == ["200"]
    assert table["gamma"] == ["0.75"]
    assert table["adain"] == ["on"]
    assert table["layers"] == ["6, 7, 8"]
    assert table["model"] == ["CompVis/stable-diffusion-v1-4"]
    assert table["model revision"] == [CARD.revision]
    assert table["styleid_ray"] == ["0.2.0"]
    assert "This dataset holds 1,200 pictures" in CARD.text()


def test_the_paper_is_cited() -> None:
    text = CARD.text()
    assert "@inproceedings{chung2024styleid," in text
    assert "{Chung, Jiwoo and Hyun, Sangeek and Heo, Jae-Pil}" in text


def test_the_front_matter_is_what_the_hub_filters_datasets_by() -> None:
    data = front_matter(replace(CARD, labels=("class", "box", "keypoints")))
    assert data == {
        "license": "other",
        "pretty_name": "Stylised cars",
        "task_categories": ["image-classification", "object-detection", "keypoint-detection"],
        "tags": ["style-transfer", "styleid", "data-augmentation"],
        "size_categories": ["1K<n<10K"],
    }


def test_the_licences_are_left_to_be_filled_in() -> None:
    assert "# license_name:" in CARD.text()
    assert front_matter(CARD)["license"] == "other"
    assert rows(CARD)["content pictures"] == ["**to be filled in**"]
    assert rows(CARD)["model weights"] == ["**to be filled in**"]


@pytest.mark.parametrize(
    ("pictures", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (2_000_000, "1M<n<10M"),
        (10**12, "n>1T"),
    ],
)
def test_the_size_category_is_the_hubs(pictures: int, category: str) -> None:
    card = replace(CARD, stylised=pictures, originals=0)
    assert front_matter(card)["size_categories"] == [category]


def test_a_dataset_without_labels_promises_no_labels() -> None:
    assert "labels" not in CARD.text()
    assert "task_categories" not in front_matter(CARD)
    assert "its labels still apply" in replace(CARD, labels=("box",)).text()


def test_the_card_of_a_run_under_way_shows_its_progress_first() -> None:
    text = replace(CARD, progress="1,999 of 2,000 pairs done").text()
    line = "**In progress: 1,999 of 2,000 pairs done.**"
    assert text.index(line) < text.index("This dataset holds")
    assert "pairs done" not in CARD.text()


def test_failed_and_left_out_pictures_are_counted_and_twenty_of_them_named() -> None:
    names = [f"train/{number:03}.png" for number in range(25)]
    card = replace(CARD, failed=31, failed_names=names, left_out=1, left_out_names=["odd.gif"])
    text = card.text()
    assert rows(card)["failed"] == ["31"]
    assert "- train/019.png\n- and 11 more\n" in text
    assert "train/020.png" not in text
    assert "Left out:\n\n- odd.gif\n\n" in text


def test_sample_pictures_are_shown_where_there_are_some() -> None:
    assert "](samples.jpg)" in replace(CARD, samples=True).text()
    assert "samples.jpg" not in CARD.text()


def test_secrets_of_locations_and_folders_of_this_machine_are_not_in_a_card() -> None:
    card = replace(
        CARD,
        content="https://me:pass@host.test/cars?X-Amz-Signature=hush",
        style="/home/alice/paintings/",
        model="~/models/sd14",
        failed=1,
        failed_names=["https://host.test/a.png?sig=hush&id=5"],
        parameters={"table": "https://host.test/t.csv?token=hush"},
    )
    text = card.text()
    for secret in ("pass@", "hush", "alice"):
        assert secret not in text
    assert rows(card)["style"] == ["…/paintings", "40"]
    assert rows(card)["model"] == ["…/sd14"]


def test_no_name_breaks_the_front_matter_the_tables_or_the_code() -> None:
    texts = {"name", "content", "style", "model", "revision", "version", "entry"}
    card = replace(
        CARD,
        **dict.fromkeys(texts, NASTY),
        splits={NASTY: 3},
        parameters={NASTY: NASTY, "layers": [NASTY]},
        failed=1,
        failed_names=[NASTY],
        configs=[{"config_name": NASTY, "data_files": [{"split": "train", "path": NASTY}]}],
    )
    for name in get_args(ExportFormat):
        made = replace(card, format=name)
        compile(code(made), "card", "exec")
        assert front_matter(made)["configs"][0]["config_name"] == NASTY
    plain = {first: len(rest) for first, rest in rows(CARD).items()}
    shown = rows(card)
    assert all(len(shown[first]) == count for first, count in plain.items() if first in shown)
    flat = NASTY.replace("\n", "\\n")
    assert shown["model"][0].replace("\\", "") == flat.replace("\\", "")
    assert [line for line in card.text().splitlines() if line == "---"] == ["---", "---"]
    assert "<b>" not in card.text().split("\n---\n", 1)[1].replace("\\<", "").split("```")[0]


@pytest.mark.parametrize("name", ["# cars", "- cars", "---", "> cars", "+1.png", "==="])
def test_a_name_that_looks_like_markup_is_shown_as_it_is(name: str) -> None:
    assert f"- \\{name[0]}" in replace(CARD, failed=1, failed_names=[name]).text()


def test_a_name_that_looks_like_a_numbered_list_is_shown_as_it_is() -> None:
    text = replace(CARD, failed=2, failed_names=["1. car.png", "2.png"]).text()
    assert "- 1\\. car.png\n- 2.png\n" in text


@pytest.mark.parametrize("labels", [(), get_args(LabelKind)])
@pytest.mark.parametrize("name", get_args(ExportFormat))
def test_the_hub_takes_the_card_of_each_format(
    name: Any, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [{"config_name": "default", "data_files": [{"split": "train", "path": "a/*"}]}]
    card = replace(CARD, format=name, labels=labels, configs=configs, hub_id="someone/cars")
    assert DatasetCard(card.text()).data.to_dict()["configs"] == configs
    compile(code(card), "card", "exec")
    assert '"someone/cars"' in code(card)
    with serving() as server:
        use(server, monkeypatch)
        assert Hub("someone/cars").upload_card(card.text()) is None
        assert server.repositories["someone/cars"].files["README.md"].decode() == card.text()


def write_dataset(name: str, root: Path) -> None:
    """Two pictures in a folder, as an export of that format has them."""
    if name == "imagefolder":
        for number in range(2):
            path = root / "train" / "car" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png("red"))
    elif name == "parquet":
        (root / "data").mkdir()
        image = [{"bytes": png("red"), "path": f"{number}.png"} for number in range(2)]
        features = '{"info": {"features": {"image": {"_type": "Image"}}}}'
        schema = pa.schema(
            [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))],
            {"huggingface": features},
        )
        pq.write_table(pa.table({"image": image}, schema), root / "data" / "train-0.parquet")
    else:
        import tarfile

        with tarfile.open(root / "train-0.tar", "w") as tar:
            for number in range(2):
                entry = tarfile.TarInfo(f"{number}.png")
                entry.size = len(png("red"))
                tar.addfile(entry, io.BytesIO(png("red")))


@pytest.mark.parametrize("name", ["imagefolder", "parquet", "webdataset"])
def test_the_code_of_the_card_loads_the_dataset_from_its_folder(
    name: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "dataset"
    root.mkdir()
    write_dataset(name, root)
    card = replace(CARD, format=name)
    (root / "README.md").write_text(card.text())
    monkeypatch.chdir(root)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    names: dict[str, Any] = {}
    exec(code(card), names)
    picture = next(value for value in names["example"].values() if isinstance(value, Image.Image))
    assert picture.size == (64, 48)


def test_the_code_of_the_card_loads_the_published_dataset_from_the_hub(tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    root.mkdir()
    write_dataset("imagefolder", root)
    card = replace(CARD, hub_id="someone/cars")
    (root / "README.md").write_text(card.text())
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        use(server, patch)
        Hub("someone/cars").upload(root)
        # In a process of its own: `datasets` reads the address of the hub when it is imported.
        done = subprocess.run(
            [sys.executable, "-c", code(card) + "\nprint(example['image'].size)"],
            env={**os.environ, **environment(server), "HF_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
        )
    assert done.stdout.endswith("(64, 48)\n"), done.stderr


def test_coco_and_yolo_code_begins_at_the_file_that_the_export_names() -> None:
    coco = replace(CARD, format="coco", entry="annotations/val.json", hub_id="someone/cars")
    assert 'coco = COCO(root + "/annotations/val.json")' in code(coco)
    yolo = replace(CARD, format="yolo")
    assert 'train(data=root + "/data.yaml")' in code(yolo)


def test_the_code_of_a_dataset_without_a_train_split_loads_no_train() -> None:
    assert 'dataset["train"]' not in code(replace(CARD, splits={"val": 3}))


def test_the_strip_shows_contents_above_their_results() -> None:
    data = strip([(png("red"), png("blue")), (png("lime", (30, 90)), png("black"))], side=32)
    sheet = Image.open(io.BytesIO(data))
    assert sheet.format == "JPEG"
    assert sheet.size == (2 * 32 + 4, 2 * 32 + 4)
    for place, colour in {
        (16, 16): (255, 0, 0),
        (16, 52): (0, 0, 255),
        (52, 16): (0, 255, 0),
        (52, 52): (0, 0, 0),
    }.items():
        got: Any = sheet.getpixel(place)
        assert max(abs(a - b) for a, b in zip(got, colour, strict=True)) < 12


def test_pictures_that_cannot_be_read_are_left_out_of_the_strip() -> None:
    damaged = png("red")[:-30]
    data = strip([(damaged, png("red")), (png("red"), b""), (png("red"), png("blue"))], side=32)
    assert Image.open(io.BytesIO(data)).width == 32
    assert strip([(b"no picture", png("red"))]) == b""
    assert strip([]) == b""


def test_a_card_says_which_method_made_the_pictures_and_cites_no_other() -> None:
    assert "with StyleID, a training-free" in CARD.text()
    assert "@inproceedings{chung2024styleid" in CARD.text()
    text = replace(CARD, method="mkl", model=None, revision=None).text()
    assert "made by styleid_ray with the linear Monge-Kantorovitch colour transfer, which" in text
    assert "(Pitié & Kokaram, CVMP 2007). It keeps the layout" in text
    assert "Citation" not in text
    assert "StyleID" not in text.replace("styleid_ray", "")
    assert "| model |" not in text
    assert "model weights" not in text
    assert "the content pictures and the style pictures, so the licences of both apply" in text
    tags = DatasetCard(text).data.to_dict()["tags"]
    assert tags == ["style-transfer", "mkl", "data-augmentation"]
