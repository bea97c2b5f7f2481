"""The card of an export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.export.card import parameters
from styleid_ray.batch.export.contents import content_source
from styleid_ray.errors import ConfigError
from tests.batch.conftest import draw
from tests.batch.export.conftest import Run


def test_the_card_loads_the_files_of_a_dataset_without_a_split_called_train(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    for seed, name in enumerate(("val/face mask/1.jpg", "test/no mask/2.jpg")):
        draw(tmp_path / "in" / name, seed)
    run = run_of(tmp_path / "in", share_styles=True)
    run.export("webdataset")
    card = (run.to / "README.md").read_text()
    assert '"test": "test/*.tar", "val": "val/*.tar"' in card
    assert {path.parent.name for path in run.to.glob("*/*.tar")} == {"test", "val"}
    assert "image-classification" in card
    assert "image-segmentation" not in card, "the names of classes are no kinds of labels"


def test_labels_at_urls_with_secrets_that_are_not_stored_are_refused_with_a_remedy() -> None:
    config = JobConfig(content="c", style="s", output="o")
    with pytest.raises(ConfigError, match=r"not stored.*: stylize from a location that needs none"):
        content_source(config, {"formats": {"content": "coco"}})


def test_the_card_lists_every_option_that_reproduces_the_pairs_and_no_unused_control() -> None:
    config = JobConfig(
        content="c",
        style="s",
        output="o",
        pairing="by-class",
        style_classes="other",
        style_share="0..0.8",
        gamma="0.3..0.6",
        variants=3,
    )
    named = parameters({"config": config.model_dump(mode="json"), "identity": config.identity()})
    assert (named["style_classes"], named["style_share"]) == ("other", "0..0.8")
    assert (named["gamma"], named["variants"], named["seed"]) == ("0.3..0.6", 3, 0)
    assert named["pairing"] == "by-class"
    unused = {"detail", "low_frequency", "masks", "vae", "class_column", "splits", "tile"}
    others = {"model", "format", "picture_format", "content", "style"}
    assert not (unused | others) & set(named)
    weights = {"style_weights": "/data/weights.csv"}
    named = parameters({"config": weights, "identity": {"pairing": "balanced"}})
    assert named == {"pairing": "balanced", **weights}
