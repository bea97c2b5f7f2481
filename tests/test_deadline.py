"""Deadlines as text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from styleid_ray import JobConfig
from styleid_ray.deadline import is_duration, parse_deadline
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config

NOW = datetime(2026, 11, 30, 22, 0, tzinfo=timezone(timedelta(hours=1)))
BASE = {"content": "c", "style": "s", "output": "o"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("6h", "6:00:00"),
        ("90min", "1:30:00"),
        ("1d 12h", "1 day, 12:00:00"),
        ("1.5h", "1:30:00"),
        ("45s", "0:00:45"),
        ("2026-12-01T06:00", "8:00:00"),
        ("2026-12-01T06:00Z", "9:00:00"),
        ("2026-12-01", "2:00:00"),
    ],
)
def test_a_deadline_is_a_duration_or_a_time(text: str, left: str) -> None:
    # A time without a zone is one of this machine, which runs in UTC or elsewhere.
    moment = parse_deadline(text, NOW)
    if not is_duration(text) and not text.endswith("Z"):
        moment = moment.astimezone().replace(tzinfo=NOW.tzinfo)
    assert str(moment - NOW) == left


@pytest.mark.parametrize("value", ["6", "soon", "", "2026-13-01", 6, "99999999999d", [["x"]]])
def test_text_that_is_not_a_deadline_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^--deadline: must be a time such as 2026-12-01T06:00"):
        make_config({**BASE, "deadline": value})


def test_limits_belong_to_one_command_and_are_not_stored_with_the_run() -> None:
    limits = {"limit": 3, "deadline": "6h", "max_gpu_hours": 2.0, "log_to": "wandb,tensorboard"}
    config = JobConfig(**BASE, **limits)
    assert config.log_to == ("wandb", "tensorboard")
    assert not {*limits, "log_samples"} & {*config.model_dump()}
    assert config.fingerprint() == JobConfig(**BASE).fingerprint()
