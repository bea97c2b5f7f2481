"""The manifest of a run on Kubernetes, and the check that it goes through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from styleid_ray import cli
from styleid_ray.jobfile import make_config

FOLDER = Path(__file__).parents[2] / "deploy" / "kuberay"
MANIFEST = FOLDER / "rayjob.yaml"

CRD = """
kind: CustomResourceDefinition
spec:
  group: ray.io
  names: {kind: RayJob}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              required: [entrypoint]
              properties:
                entrypoint: {type: string}
                backoffLimit: {type: integer, format: int32}
                memory: {x-kubernetes-int-or-string: true, pattern: "."}
                labels: {type: object, additionalProperties: {type: string}}
                free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {}}
"""


def check(*args: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, FOLDER / "check.py", *args], capture_output=True, text=True
    )


def resources() -> tuple[dict[str, Any], dict[str, Any]]:
    """The ConfigMap and the RayJob."""
    config_map, job = yaml.safe_load_all(MANIFEST.read_text())
    return config_map, job


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"entrypoint": "x", "memory": 3, "labels": {"a": "b"}, "free": {"a": 1}}, "right"),
        ({"entrypoint": "x", "memory": "3Gi"}, "right"),
        ({"entrypoint": "x", "backofLimit": 3}, "'backofLimit' was unexpected"),
        ({"entrypoint": "x", "backoffLimit": "3"}, "$.spec.backoffLimit"),
        ({"entrypoint": "x", "labels": {"a": 1}}, "$.spec.labels.a"),
        ({"backoffLimit": 3}, "'entrypoint' is a required property"),
    ],
)
def test_the_check_refuses_what_the_definition_does_not_have(
    tmp_path: Path, spec: dict[str, Any], said: str
) -> None:
    (tmp_path / "crd.yaml").write_text(CRD)
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "a"}, "spec": spec}
    manifest = tmp_path / "job.yaml"
    manifest.write_text(yaml.safe_dump_all([{"apiVersion": "v1", "kind": "ConfigMap"}, job]))
    found = check(tmp_path / "crd.yaml", manifest)
    assert said in found.stdout
    assert found.returncode == (0 if said == "right" else 1)


def test_a_check_that_checks_nothing_does_not_pass(tmp_path: Path) -> None:
    assert check().returncode == 2
    assert check(tmp_path / "missing", MANIFEST).returncode == 2
    assert check(tmp_path, MANIFEST).returncode == 2  # a folder without definitions


@pytest.mark.skipif("KUBERAY_CRDS" not in os.environ, reason="KUBERAY_CRDS names no definitions")
def test_the_manifest_is_right_by_kuberays_own_definition() -> None:
    found = check(Path(os.environ["KUBERAY_CRDS"]))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "rayjob.yaml: right" in found.stdout


def test_the_job_in_the_manifest_is_a_valid_job_that_suits_its_cluster() -> None:
    config_map, job = resources()
    config = make_config(yaml.safe_load(config_map["data"]["job.yaml"]))
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert config.actors is not None
    fewest, most = config.actors
    assert config.grow or fewest <= sum(group["minReplicas"] for group in groups)
    assert most <= sum(group["maxReplicas"] for group in groups)


def test_the_command_of_the_entrypoint_is_in_the_image_and_its_job_file_is_mounted() -> None:
    config_map, job = resources()
    program, command, option, file = job["spec"]["entrypoint"].split()
    assert (program, option) == ("styleid-ray", "--config")
    assert command in cli.COMMANDS
    assert "styleid-ray --help" in (FOLDER.parent / "Dockerfile").read_text()
    pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount] = pod["containers"][0]["volumeMounts"]
    [volume] = pod["volumes"]
    assert str(Path(file).parent) == mount["mountPath"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    assert Path(file).name in config_map["data"]


def test_a_preempted_run_begins_again_and_spot_machines_come_first() -> None:
    _, job = resources()
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    spot, on_demand = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert spot["priority"] > on_demand["priority"]
    spec = spot["template"]["spec"]
    assert (
        spec["nodeSelector"].items()
        <= {t["key"]: t.get("value") for t in spec["tolerations"]}.items()
    )
    for pod in (job["spec"]["rayClusterSpec"]["headGroupSpec"], spot, on_demand):
        [container] = pod["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "styleid-ray-store"}}]
        assert container["securityContext"]["runAsNonRoot"] is True
