"""The rate that `plan` estimates time with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from styleid_ray.batch.rate import actor_rate
from styleid_ray.errors import ConfigError


def test_a_rate_is_a_number_or_measured_by_a_run(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"session": {"actor_rate": 12.5}}))
    assert actor_rate("3.5") == actor_rate(3.5) == 3.5
    for given in (tmp_path, f"{tmp_path}/", tmp_path / "summary.json", tmp_path.as_uri()):
        assert actor_rate(str(given)) == 12.5


@pytest.mark.parametrize("session", [{}, {"actor_rate": 0.0}])
def test_a_run_without_a_measured_rate_is_refused_with_the_remedy(
    tmp_path: Path, session: dict[str, float]
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"session": session}))
    for given in (str(tmp_path), str(tmp_path / "elsewhere"), "fast"):
        with pytest.raises(ConfigError, match=r"--rate .*: must be .* a pilot made with --limit"):
            actor_rate(given)
