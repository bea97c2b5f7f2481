"""What a run is: its identity, its stored record, and the check that a command belongs to it."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from styleid_ray.batch.folder.output import CONFIG, PLAN, Output
from styleid_ray.config import JobConfig, digest
from styleid_ray.engine.checkpoint import Checkpoint
from styleid_ray.errors import OutputError
from styleid_ray.planning import Plan, build_plan, plan_digest, write_parts
from styleid_ray.storage.locations import absolute, local_path, shown
from styleid_ray.storage.secrets import without_secrets

_VERSIONS = ("styleid-ray", "torch", "diffusers", "ray", "pyarrow", "pillow")
# Options that choose pairs or their encoding; a pair's picture is the same whatever they say.
_NOT_IN_A_PAIR = (
    "pairing",
    "styles_per_content",
    "seed",
    "reuse",
    "format",
    "picture_format",
    "quality",
    "max_pixels",
)


def identity(config: JobConfig, checkpoint: Checkpoint) -> dict[str, Any]:
    """What decides the output's contents: the options, and the model by its own fingerprint."""
    values = config.identity()
    values.pop("revision")
    values["model"] = f"{checkpoint.name.rstrip('/').rsplit('/', 1)[-1]} {checkpoint.fingerprint}"
    return values


def make_plan(config: JobConfig, checkpoint: Checkpoint, workers: int = 1) -> Plan:
    """The job's plan; a pair's id depends on its pictures' keys, the parameters and the model.

    `workers` is how many actors will work on its shards at once.
    """
    of_pairs = {k: v for k, v in identity(config, checkpoint).items() if k not in _NOT_IN_A_PAIR}
    return build_plan(config, digest(of_pairs), config.storage_options, workers)


def find_run(
    output: Output, config: JobConfig, checkpoint: Checkpoint, plan: Plan
) -> dict[str, Any] | None:
    """The record of the run at `output`, or None where there is none.

    A run goes on in the shards that it was begun with; only its pairs must be those of `plan`.

    Raises:
        OutputError: the run there is another one (the message says what differs), or damaged.
    """
    old = output.record()
    if old is None:
        if output.files("data") or output.files("errors"):
            raise OutputError(
                f"{output.url} holds shards but no {CONFIG}: it is damaged, or something else's; "
                "choose another --output"
            )
        return None
    differing = _differences(old.get("identity", {}), identity(config, checkpoint))
    if differing:
        raise OutputError(
            f"{output.url} was made with other options ({'; '.join(differing)}): "
            "use the same ones to resume, or choose another --output"
        )
    if old.get("plan", {}).get("digest") != plan_digest(plan):
        raise OutputError(
            f"the sources have changed since the run at {output.url} was planned "
            f"({_changed_pictures(output, plan)}): "
            "restore them to resume, or choose another --output"
        )
    return old


def begin_run(output: Output, config: JobConfig, checkpoint: Checkpoint, plan: Plan) -> None:
    """Stores the plan and the record of a new run, the record last: a run that has one has its
    whole plan. Does nothing where another driver has begun the same run since `find_run`.

    Raises:
        OutputError: another driver has begun another run there.
    """
    if find_run(output, config, checkpoint, plan):
        return
    written: set[str] = set()
    for name, part in write_parts(plan):
        output.write_table(f"{PLAN}/{name}", part)
        written.add(f"{PLAN}/{name}")
    # Those of a beginning that was cut off, in other shards. Never those of a driver beside this
    # one, which may be reading them already.
    for name in sorted({*output.files(PLAN)} - written):
        output.delete(name)
    record = _record(config, checkpoint, plan)
    output.write(CONFIG, yaml.safe_dump(record, sort_keys=False, allow_unicode=True).encode())


def _record(config: JobConfig, checkpoint: Checkpoint, plan: Plan) -> dict[str, Any]:
    values = identity(config, checkpoint)
    return {
        "fingerprint": digest(values),
        "identity": values,
        "plan": {"pairs": plan.pairs, "shards": plan.shards, "digest": plan_digest(plan)},
        "model": {"name": checkpoint.name, "revision": checkpoint.revision},
        "config": config.model_dump(mode="json") | _locations(config),
        "versions": {name: _version(name) for name in _VERSIONS}
        | {"python": platform.python_version()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _locations(config: JobConfig) -> dict[str, str]:
    """Where sources, model and output lie, for another command in another working directory.

    A URL that holds a secret is kept as it may be shown, which nothing can be read from.
    """
    said: dict[str, str] = {}
    for name in ("content", "style", "table", "output"):
        url = getattr(config, name)
        if url is None:
            continue
        path = local_path(url)
        said[name] = _public(url) if path is None else absolute(path)
    # A hub id is no path, and a model's folder is part of its identity by the name that was given.
    return said | {"model": _public(config.model)}


def _public(url: str) -> str:
    return url if without_secrets(url) == url else shown(url)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    names = [*new, *(name for name in old if name not in new)]
    return [
        f"{name}: {old.get(name)} there, {new.get(name)} now"
        for name in names
        if old.get(name) != new.get(name)
    ]


def _changed_pictures(output: Output, plan: Plan) -> str:
    """Which contents and styles came or went, in a few words."""
    said = []
    for role in ("content", "style"):
        now = set(plan.table.column(role).unique().to_pylist())
        then: set[str] = set()
        for part in output.plan_parts():
            then.update(part.column(role).unique().to_pylist())
        for what, keys in (("new", now - then), ("gone", then - now)):
            if keys:
                first = ", ".join(shown(key)[:100] for key in sorted(keys)[:3])
                first += ", …" if len(keys) > 3 else ""
                said.append(f"{len(keys)} {role}{'s' if len(keys) > 1 else ''} {what}: {first}")
    return "; ".join(said) or "the pictures are the same, but not their pairs"
