"""Balanced pairing uses every style as often as the others, or as its weight demands."""

from __future__ import annotations

import numpy as np
import pytest

from styleid_ray.config import SourceOptions
from styleid_ray.errors import SourceError
from styleid_ray.planning.balanced import balance, deal_missing, deal_styles
from styleid_ray.planning.choice import Choice, Earlier
from styleid_ray.planning.pairing import make_pairs
from tests.planning.conftest import names


def deal(contents, styles, count, seed=0, weights=None, used=None):
    weights = np.ones(styles) if weights is None else np.array(weights, float)
    used = np.zeros(styles, int) if used is None else np.array(used)
    dealt = deal_styles(contents, count, weights, used, seed)
    return dealt, np.bincount(dealt.reshape(-1), minlength=styles)


def choice(contents, styles, count=2, planned=None, seed=0):
    config = SourceOptions(pairing="balanced", styles_per_content=count, seed=seed)
    return Choice(config, names("c", contents), names("s", styles), planned=planned)


@pytest.mark.parametrize(
    ("contents", "styles", "count"),
    [(1000, 40, 1), (1000, 40, 3), (997, 40, 7), (1, 5, 3), (7, 5, 5), (3, 200, 2), (30, 4, 3)],
)
def test_each_style_is_used_equally_often_to_within_one(contents, styles, count):
    dealt, used = deal(contents, styles, count)
    assert dealt.shape == (contents, count)
    assert used.max() - used.min() <= 1
    assert (np.diff(dealt, axis=1) > 0).all()


def test_another_seed_deals_otherwise_and_the_same_seed_alike():
    assert (deal(50, 9, 2, seed=1)[0] == deal(50, 9, 2, seed=1)[0]).all()
    assert (deal(50, 9, 2, seed=1)[0] != deal(50, 9, 2, seed=2)[0]).any()


def test_any_two_styles_meet_in_a_content_as_often_as_by_chance():
    dealt, _ = deal(20_000, 40, 3)
    met = np.zeros((40, 40))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        np.add.at(met, (dealt[:, i], dealt[:, j]), 1)
    counts = met[np.triu_indices(40, 1)]
    expected = 20_000 * 3 / len(counts)
    # 780 pairs of styles: chance alone gives 1 on average, seldom less than 0.8 or more than 1.2.
    assert 0.75 < ((counts - expected) ** 2 / expected).mean() < 1.2


def test_each_content_meets_every_style_equally_often_over_the_seeds():
    first = np.concatenate([deal(21, 10, 2, seed=seed)[0][4] for seed in range(1500)])
    counts = np.bincount(first, minlength=10)
    assert np.abs(counts - 300).max() < 70


def test_weights_are_proportions_to_within_one():
    weights = np.array([0, 0.5, 1, 1, 2, 3.25, 1, 1, 0.1, 4])
    _, used = deal(2000, 10, 2, weights=weights)
    assert np.abs(used - 4000 * weights / weights.sum()).max() < 1
    assert used[0] == 0


def test_a_style_too_heavy_for_its_weight_goes_to_every_content_once():
    dealt, used = deal(300, 5, 2, weights=[100, 1, 1, 1, 1])
    assert used.tolist() == [300, 75, 75, 75, 75]
    assert (dealt[:, 0] == 0).all()


def test_new_contents_get_the_styles_used_least_so_far():
    before = np.array([4, 4, 4, 0, 2])
    _, used = deal(10, 5, 1, used=before)
    assert sorted((before + used).tolist()) == [4, 5, 5, 5, 5]


@pytest.mark.parametrize("more", [1, 7, 40])
def test_an_extension_keeps_planned_styles_and_the_balance(more):
    c, s, _ = balance(choice(30, 9))
    extended = balance(choice(30 + more, 9, planned=(c.astype(int), s.astype(int))))
    before = set(zip(c.tolist(), s.tolist(), strict=True))
    after = list(zip(extended[0].tolist(), extended[1].tolist(), strict=True))
    assert before < set(after)
    assert len(after) == len(set(after)) == 2 * (30 + more)
    used = np.bincount(extended[1], minlength=9)
    assert used.max() - used.min() <= 1


def test_pictures_that_are_gone_are_not_dealt_again_and_count_as_used():
    # Content 0 had a style that is gone; a content that is gone had style 1 three times over.
    planned = np.array([0, 0, -1, -1, -1]), np.array([-1, 0, 1, 1, 1])
    c, s, _ = balance(choice(2, 4, count=2, planned=planned))
    assert s[c == 0].tolist() == [0]
    assert sorted(s[c == 1].tolist()) == [2, 3]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_an_extension_that_was_cut_off_is_completed_and_balanced(kept):
    c, s, _ = balance(choice(60, 12, count=4))
    there = (c < 20) | (np.random.default_rng(0).random(len(c)) < kept)
    planned = c[there].astype(int), s[there].astype(int)
    extended = balance(choice(60, 12, count=4, planned=planned))
    pairs = set(zip(*(side.tolist() for side in extended[:2]), strict=True))
    assert pairs > set(zip(*(side.tolist() for side in planned), strict=True))
    assert len(pairs) == len(extended[0]) == 60 * 4
    assert (np.bincount(extended[0]) == 4).all()
    used = np.bincount(extended[1], minlength=12)
    assert used.max() - used.min() <= 2
    again = balance(choice(60, 12, count=4, planned=planned))
    assert (again[1] == extended[1]).all()


def test_missing_styles_are_dealt_by_weight_and_never_one_of_weight_0():
    weights = np.array([0, 1, 1, 2, 4.0])
    held = np.arange(400), np.ones(400, int)
    c, s = deal_missing(np.ones(400, int), held, weights, np.zeros(5, int), 0)
    assert sorted(c.tolist()) == [*range(400)]
    assert np.abs(np.bincount(s, minlength=5) - 400 * np.array([0, 0, 1, 2, 4]) / 7).max() <= 1


def test_each_split_is_balanced_on_its_own(folder):
    content = folder(
        "content", [f"{split}/{i}.png" for split in ("train", "val") for i in range(9)]
    )
    style = folder("style", [f"{i}.png" for i in range(12)])
    config = SourceOptions(
        content=str(content), style=str(style), pairing="balanced", splits=("train", "val")
    )
    table = make_pairs(config).table
    used: dict[str, dict[str, int]] = {}
    for row in table.to_pylist():
        of_split = used.setdefault(row["split"], {})
        of_split[row["style"]] = of_split.get(row["style"], 0) + 1
    assert not set(used["train"]) & set(used["val"])
    assert all(max(u.values()) - min(u.values()) <= 1 for u in used.values())
    planned = table.select(["content", "style"]).slice(4)
    again = make_pairs(config, earlier=Earlier(planned)).table.select(["content", "style"])
    assert all(row in again.to_pylist() for row in planned.to_pylist())


def test_more_styles_per_content_than_styles_are_refused():
    with pytest.raises(SourceError, match="--styles-per-content 4 is more than the 3"):
        balance(choice(5, 3, count=4))
