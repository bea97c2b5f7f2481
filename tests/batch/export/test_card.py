"""The card of an export."""

from __future__ import annotations

from styleid_ray import JobConfig
from styleid_ray.batch.export.card import parameters


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
    assert not {"detail", "low_frequency", "masks", "vae", "class_column"} & set(named)
    weighted = {"pairing": "balanced", "style_weights": "/data/weights.csv"}
    named = parameters({"config": weighted, "identity": {}})
    assert named == weighted
