"""Measurements in processes of their own."""

from __future__ import annotations

import os
import time

import pytest

from benchmarks.apart import peak_rss, run_apart
from styleid_ray.errors import JobError


def hold(mebibytes: int) -> int:
    held = bytearray(os.urandom(1)) * (mebibytes << 20)
    return peak_rss() if held else 0


def fail() -> None:
    raise ValueError("no")


def test_the_peak_of_one_measurement_is_not_that_of_another() -> None:
    large, small = run_apart(hold, 300), run_apart(hold, 1)
    assert large - small == pytest.approx(299 << 20, rel=0.1)


def test_a_measurement_over_its_limit_is_ended() -> None:
    began = time.monotonic()
    assert run_apart(time.sleep, 600, limit=0.1) is None
    assert time.monotonic() - began < 60


def test_a_measurement_that_fails_says_which_one_it_was() -> None:
    with pytest.raises(JobError, match=r"test_apart\.fail ended with exit code 1"):
        run_apart(fail)
