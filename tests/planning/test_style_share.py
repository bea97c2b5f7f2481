"""Styles held out by name are the same in every run."""

from __future__ import annotations

import pytest

from styleid_ray.config import SourceOptions
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.jobfile import make_config
from styleid_ray.planning.pairing import make_pairs
from styleid_ray.planning.style_share import in_share


@pytest.fixture
def paired(folder):
    """The styles that are paired when there are this many, and whatever else is asked for."""

    def make(styles=40, **options) -> set[str]:
        content = folder("content", [f"c{i}.png" for i in range(60)])
        style = folder(f"style{styles}", [f"s{i:02d}.png" for i in range(styles)])
        pairs = make_pairs(SourceOptions(content=str(content), style=str(style), **options))
        assert list(pairs.styles.keys) == sorted(pairs.styles.keys)
        return set(pairs.table["style"].to_pylist())

    return make


@pytest.mark.parametrize("pairing", ["cross", "balanced", "nearest"])
def test_two_shares_that_meet_hold_every_style_once(paired, pairing):
    options = {"pairing": pairing, "styles_per_content": 4} if pairing != "cross" else {}
    kept, held_out = (paired(style_share=share, **options) for share in ("0..0.8", "0.8..1"))
    assert not kept & held_out
    if pairing == "cross":
        assert len(kept | held_out) == 40
        assert 24 < len(kept) < 39


def test_a_style_keeps_its_side_whatever_the_seed_and_the_other_styles(paired):
    few, many = paired(20, style_share="0..0.5"), paired(40, style_share="0..0.5", seed=9)
    assert few == {style for style in many if style < "s20.png"}


def test_shares_are_as_large_as_they_say():
    assert abs(in_share((f"{i}.jpg" for i in range(20_000)), 0.25, 0.35).mean() - 0.1) < 0.01


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ("0.8..0.2", "the first number must be the smaller one"),
        ("0.5..0.5", "the first number must be the smaller one"),
        ("0..1.5", "must lie within 0..1"),
        ("-0.5..1", "no interval: write it as 0..0.8"),
        ("0.8", "no interval"),
        ("most", "no interval"),
    ],
)
def test_a_malformed_share_is_one_clear_error(paired, share, message):
    with pytest.raises(ConfigError, match=rf"--style-share .*{message}"):
        paired(2, style_share=share)


def test_a_share_without_styles_is_one_clear_error(paired):
    with pytest.raises(SourceError, match=r"0..0.0000001 leaves none of the 2 pictures of --style"):
        paired(2, style_share="0..0.0000001")


@pytest.mark.parametrize("options", [{"pairing": "zip"}, {"pairing": "table", "table": "p.csv"}])
def test_pairings_that_name_their_styles_take_no_share(options):
    job = {"content": "c", "style": "s", "output": "o", "style_share": "0..0.5"}
    with pytest.raises(ConfigError, match=f"no effect with --pairing {options['pairing']}"):
        make_config({**job, **options})
