"""Checks manifests against the custom resource definitions that KubeRay publishes.

    python deploy/kuberay/check.py CRDS [MANIFEST …]

CRDS is a definition (a YAML file such as ray.io_rayjobs.yaml) or a folder of them; without a
MANIFEST the ones in this folder are checked. A field that the definition does not have is an
error, as with `kubectl apply --validate=strict`. Rules written in CEL (`x-kubernetes-validations`)
are left to the API server, and kinds without a definition, such as ConfigMap, to Kubernetes.

Exit status: 0 when all that could be checked is right, 1 when something is wrong, 2 when nothing
could be checked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

Kind = tuple[str, str]
"""apiVersion and kind of a resource."""


def read_schemas(crds: Path) -> dict[Kind, dict[str, Any]]:
    """The JSON schemas of all versions that the definitions in a file or folder serve."""
    schemas: dict[Kind, dict[str, Any]] = {}
    for path in sorted(crds.glob("*.yaml")) if crds.is_dir() else [crds]:
        for definition in yaml.safe_load_all(path.read_text()):
            if not definition or definition.get("kind") != "CustomResourceDefinition":
                continue
            spec = definition["spec"]
            for version in spec["versions"]:
                kind = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                schemas[kind] = closed(version["schema"]["openAPIV3Schema"])
    return schemas


def closed(schema: Any) -> Any:
    """The JSON schema of one of Kubernetes: fields that it does not name are refused."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = dict(schema)
    if "properties" in schema:
        found["properties"] = {name: closed(one) for name, one in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    for name in ("items", "additionalProperties"):
        if name in schema:
            found[name] = closed(schema[name])
    return found


def faults(manifest: Path, schemas: dict[Kind, dict[str, Any]]) -> Iterator[str]:
    """One line for each thing that is wrong; raises KeyError when it has no resource to check."""
    known = 0
    for resource in yaml.safe_load_all(manifest.read_text()):
        schema = schemas.get((resource["apiVersion"], resource["kind"]))
        if schema is None:
            continue
        known += 1
        top = {"apiVersion": {}, "kind": {}, "metadata": {}}
        validator = Draft202012Validator({**schema, "properties": {**schema["properties"], **top}})
        for error in validator.iter_errors(resource):
            yield f"{manifest}: {error.json_path}: {error.message}"
    if not known:
        raise KeyError(manifest)


def main(args: Sequence[str]) -> int:
    """Prints what is wrong; returns the exit status."""
    if not args or not Path(args[0]).exists():
        print(__doc__, file=sys.stderr)
        return 2
    schemas = read_schemas(Path(args[0]))
    manifests = [Path(arg) for arg in args[1:]] or sorted(Path(__file__).parent.glob("*.yaml"))
    wrong = 0
    for manifest in manifests:
        try:
            found = list(faults(manifest, schemas))
        except KeyError:
            print(f"{manifest}: no resource of a kind that {args[0]} defines", file=sys.stderr)
            return 2
        wrong += len(found)
        print(*(found or [f"{manifest}: right"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
