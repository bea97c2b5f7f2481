from __future__ import annotations

import pytest

from styleid_ray import StyleParams
from styleid_ray.engine.schedule import make_schedule
from styleid_ray.errors import ConfigError

ALPHAS = [1 - (i + 1) / 1001 for i in range(1000)]


def test_the_papers_schedule_inverts_in_fifty_steps_and_samples_in_forty_nine() -> None:
    schedule = make_schedule(StyleParams().resolved(), ALPHAS, 1.0)
    assert [s.t for s in schedule.inversion] == list(range(1, 1000, 20))
    assert [s.t for s in schedule.sampling] == list(range(961, 0, -20))
    assert schedule.inversion[-1].b == ALPHAS[999]
    assert schedule.sampling[-1].b == ALPHAS[0]
    assert not schedule.returns_z0


def test_the_ports_schedule_takes_its_last_level_from_the_scheduler() -> None:
    schedule = make_schedule(StyleParams(preset="diffusers").resolved(), ALPHAS, 0.9995)
    assert [s.t for s in schedule.inversion] == list(range(1, 1000, 50))
    assert schedule.inversion[0].a == ALPHAS[0]
    assert schedule.sampling[-1].b == 0.9995
    assert schedule.returns_z0


@pytest.mark.parametrize("preset", ["paper", "diffusers"])
@pytest.mark.parametrize("steps", [2, 3, 7, 30, 300, 500])
def test_any_number_of_steps_stays_within_the_training_timesteps(preset: str, steps: int) -> None:
    params = StyleParams(preset=preset, steps=steps).resolved()  # pyright: ignore
    schedule = make_schedule(params, ALPHAS, 1.0)
    timesteps = [s.t for s in schedule.inversion]
    assert timesteps == sorted(set(timesteps))
    assert 0 < min(timesteps) <= max(timesteps) < 1000
    assert len(schedule.inversion) == params.inversion_evaluations
    assert len(schedule.sampling) == params.sampling_evaluations


def test_more_steps_than_the_model_was_trained_for_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 50"):
        make_schedule(StyleParams(steps=60).resolved(), ALPHAS[:100], 1.0)
