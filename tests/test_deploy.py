"""What stands beside the package: cluster files, the image, the example job file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from styleid_ray import __version__
from styleid_ray.jobfile import load_job_file, make_config

ROOT = Path(__file__).parent.parent
CLOUD, LOCAL = ROOT / "cluster.yaml", ROOT / "deploy" / "cluster-local.yaml"
KUBERAY, IMAGE = ROOT / "deploy" / "kuberay" / "rayjob.yaml", ROOT / "deploy" / "Dockerfile"


def cluster(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", [CLOUD, LOCAL], ids=lambda path: path.name)
def test_the_cluster_files_pass_rays_own_schema(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(cluster(path)))


@pytest.mark.parametrize("path", [CLOUD, LOCAL, KUBERAY, IMAGE], ids=lambda path: path.name)
def test_every_node_has_the_ray_and_python_that_the_tests_ran_with(path: Path) -> None:
    [ray] = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    text = path.read_text()
    images = set(re.findall(r"rayproject/ray:\S+", text))
    versions = set(re.findall(r"rayVersion: (\S+)", text))
    assert images <= {f"rayproject/ray:{ray}-py311-gpu"}
    assert versions <= {ray}
    assert images or versions
    assert set(re.findall(r"/styleid-ray:(\S+)", text)) <= {__version__}


@pytest.mark.parametrize("path", [CLOUD, LOCAL], ids=lambda path: path.name)
def test_every_node_asks_for_a_token_and_the_dashboard_stays_on_the_head(path: Path) -> None:
    config = cluster(path)
    starts = config["head_start_ray_commands"][1:] + config["worker_start_ray_commands"][1:]
    assert all(start.startswith("RAY_AUTH_MODE=token ray start") for start in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "/home/ray/.ray/auth_token" in config["file_mounts"]


def test_the_cloud_prefers_spot_machines_and_spares_the_head() -> None:
    types = cluster(CLOUD)["available_node_types"]
    spot, on_demand = types["gpu_spot"], types["gpu_on_demand"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert spot["resources"] == on_demand["resources"]
    assert spot["priority"] > on_demand["priority"]
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in on_demand["node_config"]
    workers = [one for name, one in types.items() if name != "head"]
    assert sum(one["max_workers"] for one in workers) >= cluster(CLOUD)["max_workers"]


def test_the_example_job_file_is_a_valid_job() -> None:
    config = make_config(load_job_file(str(ROOT / "jobs" / "example.yaml")))
    assert config.pairing == "random"


def test_the_papers_job_file_has_the_papers_settings() -> None:
    config = make_config(load_job_file(str(ROOT / "jobs" / "paper.yaml")))
    params = config.style_params.resolved()
    assert (config.pairing, config.size, config.preset) == ("cross", 512, "paper")
    assert (params.gamma, params.temperature, params.steps) == (0.75, 1.5, 50)
