"""The classifier of examples/ learns the classes of an imagefolder export."""

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

script = load("train_classifier")
TRAINING = ("--size", 32, "--batch", 16)


def class_folders(root: Path, each: int, seed: int = 0) -> Path:
    """Pictures of two classes that differ by shape: a disc, or bars. Colours say nothing."""
    rng = np.random.default_rng(seed)
    for i in range(each):
        for name in ("bars", "disc"):
            dark, light = (tuple(rng.integers(low, low + 90, 3).tolist()) for low in (0, 160))
            image = Image.new("RGB", (64, 64), dark)
            draw, shift = ImageDraw.Draw(image), int(rng.integers(0, 10))
            if name == "disc":
                draw.ellipse((8 + shift, 8, 44 + shift, 44), fill=light)
            else:
                for x in range(shift, 64, 16):
                    draw.rectangle((x, 0, x + 7, 64), fill=light)
            (root / name).mkdir(parents=True, exist_ok=True)
            image.save(root / name / f"{i}.jpg")
    return root


@pytest.fixture(scope="module")
def shapes(run_of: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with originals mixed in: 16 stylised pictures and 8 originals."""
    run = run_of(class_folders(tmp_path_factory.mktemp("shapes"), each=4), real=True)
    run.export("imagefolder", mix=2.0)
    return run.to


def accuracies(printed: str) -> dict[str, float]:
    found = re.findall(r"^(\w+ accuracy, \w+): ([\d.]+)%", printed, re.MULTILINE)
    return {name: float(percent) for name, percent in found}


def test_a_classifier_learns_from_a_stylised_export_and_knows_new_originals(
    shapes: Path, tmp_path: Path, printed: Callable[..., str]
) -> None:
    val, weights = class_folders(tmp_path / "val", each=8, seed=1), tmp_path / "new" / "model.pt"
    out = printed(script, shapes, *TRAINING, "--steps", 60, "--val", val, "--save", weights)
    assert "16 stylised and 8 original pictures" in out
    assert losses(out)[-1] < losses(out)[0] / 3
    reported = accuracies(out)
    assert reported["training accuracy, original"] >= 90
    assert reported["training accuracy, stylised"] >= 90
    assert reported["validation accuracy, original"] >= 80
    saved = torch.load(weights)
    assert saved["classes"] == ["bars", "disc"]
    script.make_model(2).load_state_dict(saved["model"])


def test_the_same_seed_trains_alike(shapes: Path, printed: Callable[..., str]) -> None:
    first, again, other = (
        printed(script, shapes, *TRAINING, "--steps", 4, "--seed", seed) for seed in (7, 7, 8)
    )
    assert first == again
    assert losses(first) != losses(other)


def test_an_export_of_splits_is_trained_on_its_training_split(
    shapes: Path, tmp_path: Path, printed: Callable[..., str]
) -> None:
    shutil.copytree(shapes, tmp_path / "train")
    class_folders(tmp_path / "val", each=1)
    assert "16 stylised and 8 original" in printed(script, tmp_path, *TRAINING, "--steps", 1)


def test_masks_of_an_export_are_no_pictures_to_train_on(
    shapes: Path, tmp_path: Path, printed: Callable[..., str]
) -> None:
    for folder in ("images", "masks"):
        for name in ("bars", "disc"):
            shutil.copytree(shapes / name, tmp_path / folder / name)
    with (tmp_path / "metadata.jsonl").open("w") as lines:
        for row in map(json.loads, (shapes / "metadata.jsonl").read_text().splitlines()):
            name = row["file_name"]
            row |= {"file_name": f"images/{name}", "mask_file_name": f"masks/{name}"}
            print(json.dumps(row), file=lines)
    out = printed(script, tmp_path, *TRAINING, "--steps", 1)
    assert "16 stylised and 8 original pictures" in out
    assert "2 classes: bars, disc" in out


def test_folders_that_cannot_be_trained_on_are_one_line(shapes: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ([tmp_path], r"no imagefolder export .* styleid-ray export RUN"),
        ([class_folders(tmp_path / "plain", each=1)], "no imagefolder export"),
        ([shapes, "--val", tmp_path / "none"], "does not hold pictures"),
        ([shapes, "--val", tmp_path], "class plain, which DATASET lacks"),
    ):
        with pytest.raises(SystemExit, match=message) as error:
            script.main([*map(str, arguments)])
        assert "\n" not in str(error.value)
