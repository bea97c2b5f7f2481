from __future__ import annotations

from pathlib import Path

import yaml

from styleid_ray.jobfile import load_job_file, make_config

ROOT = Path(__file__).parent.parent


def test_the_cluster_file_passes_rays_own_schema() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text())))


def test_the_example_job_file_is_a_valid_job() -> None:
    config = make_config(load_job_file(str(ROOT / "jobs" / "example.yaml")))
    assert config.pairing == "random"
