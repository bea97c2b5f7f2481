"""The detector of examples/ learns the boxes of a coco export."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tests.batch.export.conftest import Run
from tests.examples.conftest import load, losses

script = load("train_detector")
TRAINING = ("--size", 64, "--batch", 8)
CATEGORIES = [{"id": 3, "name": "plate"}, {"id": 90, "name": "box"}]
DISC, SQUARE = 3, 90


def coco(root: Path, pictures: int, seed: int = 0) -> Path:
    """Pictures of a disc at the left and a square at the right, and a crowd over it all."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    (root / "images").mkdir(parents=True)
    for number in range(1, pictures + 1):
        image = Image.new("RGB", (96, 64), tuple(rng.integers(0, 70, 3).tolist()))
        draw, light = ImageDraw.Draw(image), tuple(rng.integers(170, 256, 3).tolist())
        for category, left in ((DISC, 2), (SQUARE, 50)):
            side = int(rng.integers(20, 34))
            x, y = left + int(rng.integers(0, 10)), int(rng.integers(2, 62 - side))
            shape = draw.ellipse if category == DISC else draw.rectangle
            shape((x, y, x + side - 1, y + side - 1), fill=light)
            annotations.append({"category_id": category, "bbox": [x, y, side, side]})
            annotations[-1] |= {"image_id": number, "iscrowd": 0}
        crowd = {"image_id": number, "category_id": DISC, "bbox": [0, 0, 96, 64], "iscrowd": 1}
        annotations.append(crowd)
        image.save(root / "images" / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 96, "height": 64})
    for number, one in enumerate(annotations, 1):
        one |= {"id": number, "area": one["bbox"][2] * one["bbox"][3], "segmentation": []}
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def shapes(run_of: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with originals mixed in: 16 stylised pictures and 8 originals."""
    run = run_of(coco(tmp_path_factory.mktemp("shapes") / "in", pictures=8))
    run.export("coco", mix=2.0)
    return run.to


def recalls(printed: str) -> dict[str, float]:
    found = re.findall(r"^(\w+, \w+): recall at IoU 0.5 ([\d.]+)%", printed, re.MULTILINE)
    return {name: float(percent) for name, percent in found}


def test_a_detector_learns_from_a_stylised_export_and_finds_objects_in_new_originals(
    shapes: Path, tmp_path: Path, printed: Callable[..., str]
) -> None:
    val, weights = coco(tmp_path / "val", pictures=8, seed=1), tmp_path / "new" / "model.pt"
    validation = ("--val", val / "annotations.json", val / "images")
    out = printed(script, shapes, *TRAINING, "--steps", 80, *validation, "--save", weights)
    assert "16 stylised and 8 original pictures" in out
    assert losses(out)[-1] < losses(out)[0] / 3
    reported = recalls(out)
    assert reported["training, original"] >= 80
    assert reported["training, stylised"] >= 80
    assert reported["validation, original"] >= 60
    saved = torch.load(weights)
    assert saved["ids"] == [DISC, SQUARE]
    script.make_model(2).load_state_dict(saved["model"])


def test_the_same_seed_trains_alike(shapes: Path, printed: Callable[..., str]) -> None:
    first, again, other = (
        printed(script, shapes, *TRAINING, "--steps", 3, "--seed", seed) for seed in (7, 7, 8)
    )
    assert first == again
    assert losses(first) != losses(other)


def test_an_export_of_splits_or_of_several_annotation_files_is_found(
    shapes: Path, tmp_path: Path
) -> None:
    train = tmp_path / "split" / "train"
    shutil.copytree(shapes, train)
    assert script.find_export(tmp_path / "split") == (train / "annotations.json", train / "images")
    (train / "annotations").mkdir()
    instances = train / "annotations" / "instances_train2017.json"
    (train / "annotations.json").rename(instances)
    assert script.find_export(tmp_path / "split") == (instances, train / "images")


def test_crowds_are_no_objects_to_learn(shapes: Path) -> None:
    annotations = json.loads((shapes / "annotations.json").read_text())["annotations"]
    assert sum(one["iscrowd"] for one in annotations) == 24
    data = script.CocoBoxes(*script.find_export(shapes), 64)
    assert sum(map(len, data.boxes.values())) == 48 == len(annotations) - 24


def test_any_picture_size_trains(shapes: Path, printed: Callable[..., str]) -> None:
    assert "recall" in printed(script, shapes, "--size", 37, "--batch", 2, "--steps", 1)


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_stay_on_their_objects_when_pictures_are_resized_and_flipped(
    tmp_path: Path, flip: bool
) -> None:
    root = coco(tmp_path / "in", pictures=1)
    data = script.CocoBoxes(root / "annotations.json", root / "images", 192)
    pixels, _, boxes = data.load(0, flip=flip)
    brightness = pixels.mean(0)
    for x, y, width, height in boxes.round().int().tolist():
        # Both shapes reach to the middle of each side of their boxes.
        inside = brightness[y : y + height, x : x + width] > 0
        assert inside[height // 2].float().mean() > 0.9
        assert inside[:, width // 2].float().mean() > 0.9
        assert not (brightness[y + height // 2, [max(0, x - 4), x + width + 3]] > 0).any()


def test_perfect_outputs_give_back_the_boxes_and_lose_nothing(tmp_path: Path) -> None:
    root = coco(tmp_path / "in", pictures=1)
    data = script.CocoBoxes(root / "annotations.json", root / "images", 192)
    _, classes, boxes = data.load(0)
    heat, box = script.targets(classes, boxes, 2, 192 // script.STRIDE)
    logits = torch.where(heat == 1, 20.0, -20.0)
    output = torch.cat([logits, box.nan_to_num()])[None]
    assert script.losses_of(output, heat[None], box[None]).sum() < 1e-6
    found, where = script.detect(lambda pixels: output, torch.zeros(3, 192, 192))
    torch.testing.assert_close(found[:2].sort().values, classes)
    torch.testing.assert_close(where[:2][found[:2].argsort()], boxes)


def test_a_folder_that_is_no_export_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no coco export .* styleid-ray export RUN") as error:
        script.main([str(tmp_path)])
    assert "\n" not in str(error.value)
    root = coco(tmp_path / "in", pictures=0)
    with pytest.raises(SystemExit, match="holds no boxes") as error:
        script.main([str(root)])
    assert "\n" not in str(error.value)
