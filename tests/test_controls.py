"""How values of γ and temperature are written, and what they stand for."""

from __future__ import annotations

import pytest

from styleid_ray import StyleParams
from styleid_ray.config import JobConfig
from styleid_ray.controls import Range, Schedule, Sweep, parse, schedule
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config

BASE = {"content": "c", "style": "s", "output": "o"}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.75", [0.75] * 5),
        ("linear:1:0", [1, 0.75, 0.5, 0.25, 0]),
        ("cosine:0.8:0.4", [0.8, 0.7414213, 0.6, 0.4585786, 0.4]),
    ],
)
def test_a_schedule_runs_from_its_first_value_to_its_last(text: str, values: list[float]) -> None:
    assert [schedule(text).at(6, i, 5) for i in range(5)] == pytest.approx(values)


def test_each_group_of_layers_has_its_own_value() -> None:
    control = schedule("6-8=0.9, 9-11=linear:0.5:0.3")
    assert [control.at(layer, 0, 2) for layer in (6, 8, 9)] == [0.9, 0.9, 0.5]
    assert control.at(11, 1, 2) == 0.3
    assert str(control) == "6-8=0.9,9-11=linear:0.5:0.3"
    assert str(schedule("9-11=linear:0.5:0.3,6-8=0.90")) == str(control)


def test_a_value_keeps_all_its_digits() -> None:
    config = JobConfig(**BASE, gamma="0.1234567,0.1234568", temperature="linear:1.2345678:2")
    assert config.draws["gamma"] == Sweep((0.1234567, 0.1234568))
    assert config.temperature == "linear:1.2345678:2"


def test_a_range_and_a_list_are_draws() -> None:
    assert parse("0.5..0.9") == Range(0.5, 0.9)
    assert parse("0.3,0.6") == Sweep((0.3, 0.6))
    config = JobConfig(**BASE, gamma="0.3,0.6,0.9", temperature="1,2")
    assert config.combinations == 6
    assert config.style_params.resolved().gamma == 0.75, "the pairs have their own"
    assert JobConfig(**BASE, gamma=[0.3, 0.6]).draws == {"gamma": Sweep((0.3, 0.6))}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gamma": "0.9..0.5"}, "--gamma: the range 0.9..0.5 is reversed"),
        ({"gamma": "0.5..0.5"}, "is empty: give one number"),
        ({"masks": ""}, "masks is empty"),
        ({"gamma": "0.5..1.5"}, "less than or equal to 1"),
        ({"gamma": "cosine:0.5:2"}, "less than or equal to 1"),
        ({"temperature": "0..2"}, "greater than 0"),
        ({"gamma": "0.3,0.3"}, "names a value twice"),
        ({"gamma": "0.3,cosine:1:0"}, "numbers alone"),
        ({"gamma": "sine:1:0"}, "a schedule such as"),
        ({"gamma": "nan"}, "must be a number such as"),
        ({"gamma": "8-6=0.5"}, "reversed: write the smaller number first"),
        ({"gamma": "6-8=0.5,8-11=0.7"}, "named twice"),
        ({"gamma": "6-8=0.5"}, "no value for layers 9, 10, 11"),
        ({"gamma": "3-11=0.5"}, "a value for layers 3, 4, 5, where nothing is injected"),
        ({"gamma": "linear:1:0", "steps": 2}, "at least two sampling steps"),
        ({"variants": 3}, "the same picture again"),
        ({"variants": 2, "gamma": "0.1,0.2,0.3"}, "less than the 3 combinations"),
        ({"gamma": "0.1,0.2", "inject": False}, "no effect without injection"),
        ({"adain": 1.5}, "a share from 0 to 1"),
        ({"detail_luminance": True}, "--detail-luminance needs --detail above 0"),
        ({"low_frequency": -1}, "greater than or equal to 0"),
        ({"style_classes": "other"}, "use it with --pairing by-class"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(
    options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason.replace("..", r"\.\.")):
        make_config({**BASE, **options})


def test_unused_controls_are_not_part_of_a_jobs_identity() -> None:
    old = JobConfig(**BASE).identity()
    neutral = JobConfig(**BASE, adain=1.0, low_frequency=1, detail=0, variants=1, gamma="0.75")
    assert neutral.identity() == old
    assert not {"low_frequency", "detail", "variants", "masks", "style_share"} & old.keys()


def test_drawn_values_belong_to_the_pairs_and_not_to_the_picture() -> None:
    drawn, other = (JobConfig(**BASE, gamma=g, variants=2) for g in ("0.1..0.3", "0.2..0.3"))
    assert drawn.identity("picture") == other.identity("picture")
    assert drawn.identity()["gamma"] == "0.1..0.3"
    assert drawn.identity()["seed"] == 0
    assert JobConfig(**BASE, masks="m").identity("picture")["masks"] is True


def test_the_scheduled_preset_is_the_papers_with_a_falling_gamma() -> None:
    paper, scheduled = (StyleParams(preset=p).resolved() for p in ("paper", "scheduled"))
    assert scheduled.gamma == "cosine:0.75:0.375"
    assert (scheduled.steps, scheduled.layers) == (paper.steps, paper.layers)
    assert scheduled.sampling_evaluations == paper.sampling_evaluations == 49
    assert isinstance(scheduled.control("gamma"), Schedule)
