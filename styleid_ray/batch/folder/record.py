"""The stored record of a run: begun, extended, and compared with a command."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from styleid_ray.batch.folder.identity import identity, loras_of, model_identity, with_stored
from styleid_ray.batch.folder.output import CONFIG, LAYOUT, PLAN, Output
from styleid_ray.config import ADDED, DEMO_MODEL, PAPER_SIZE, JobConfig, digest
from styleid_ray.errors import OutputError
from styleid_ray.model import lora
from styleid_ray.model.checkpoint import Checkpoint, last_part
from styleid_ray.model.vae import name_of
from styleid_ray.planning import Plan, write_parts
from styleid_ray.storage.locations import absolute, local_path, shown
from styleid_ray.storage.secrets import without_secrets

if TYPE_CHECKING:
    from styleid_ray.batch.prepare import Job

README = "README.md"
_VERSIONS = ("styleid-ray", "torch", "diffusers", "ray", "pyarrow", "pillow")


def find_run(output: Output, config: JobConfig, needed: bool = False) -> dict[str, Any] | None:
    """The record of the run at `output`, or None without one.

    A run is resumed with its own pairs and shards: sources and model are not read.

    Raises:
        OutputError: the run has other options (the message names them) or is damaged, or there is
            none and it is needed.
    """
    record = output.existing_record() if needed else output.record()
    if record is None:
        if output.files("data") or output.files("errors"):
            raise OutputError(
                f"{output.url} holds shards but no {CONFIG}: it is damaged, or not a run; "
                "choose another --output"
            )
        return None
    config = with_stored(config, record)
    added = {name: JobConfig.model_fields[name].default for name in ADDED} | {"masks": None}
    old, new = added | record["identity"], added | config.identity()
    for values in (old, new):
        values["masks"] = "some" if values["masks"] else None
    if "model" in old and "model" in new:
        old["model"], new["model"] = old["model"].rpartition(" ")[0], last_part(config.model)
    old["vae"] = old["vae"] and old["vae"].rpartition(" ")[0]
    new["vae"] = config.vae and name_of(config.vae)
    old["lora"] = [name.rpartition(" ")[0] for name in old["lora"]]
    new["lora"] = [lora.name_of(name) for name in config.lora]
    # An option present on one side only has no effect on the other, where a differing option
    # disables it.
    differing = [
        f"{name}: the run has {_worded(old[name])}, this command {_worded(new[name])}"
        for name in new
        if name in old and old[name] != new[name]
    ]
    if differing:
        raise OutputError(
            f"{output.url} was made with other options ({'; '.join(differing)}): "
            "use the same ones to resume, or choose another --output"
        )
    return record


def moved_sources(config: JobConfig, record: Mapping[str, Any]) -> str | None:
    """A note if the command's sources differ from the run's; else None."""
    stored, given = record["config"], locations(config)
    moved = [
        f"--{name} {shown(given[name])} (the run has {shown(stored[name])})"
        for name in ("content", "style", "table")
        if stored.get(name) and name in given
        if stored[name].rstrip("/") != given[name].rstrip("/")
    ]
    if not moved:
        return None
    return (
        f"other sources: {', '.join(moved)}: the run keeps its planned pairs; --extend adds new "
        "pictures, another --output begins a new run"
    )


def check_model(output: Output, record: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Raises OutputError when a run was begun with another model, autoencoder or LoRA weights."""
    old = record["identity"]
    vae = checkpoint.vae.identity if checkpoint.vae else None
    for what, before, now in (
        ("model", old.get("model"), model_identity(checkpoint)),
        ("autoencoder", old.get("vae"), vae),
        ("LoRA", old.get("lora"), loras_of(checkpoint)),
    ):
        if before != now:
            raise OutputError(
                f"{output.url} was made with another {what} "
                f"(the run has {_worded(before)}, this command {_worded(now)}): "
                "use the same one to resume, or choose another --output"
            )


def begin_run(output: Output, job: Job, plan: Plan) -> None:
    """Stores the plan and the record of a new run; the record comes last, so a run with one has its
    whole plan. Does nothing if another driver has begun the same run since `find_run`; raises
    OutputError if it has begun another run.
    """
    record = find_run(output, job.config)
    if record:
        check_model(output, record, job.checkpoint)
        return
    written = _write_plan(output, plan, first=0)
    # Parts of an interrupted beginning, with other shards. Another driver that begins the same run
    # has the same parts, and they stay: it may be reading them.
    for name in sorted({*output.files(PLAN)} - written):
        output.delete(name)
    if job.config.format == "parquet":
        write_readme(output)
    _write_record(output, _record(job, plan))


def extend_run(output: Output, record: Mapping[str, Any], plan: Plan) -> None:
    """Adds the pairs of another plan to a run, in new parts and shards. Each part is complete in
    itself, so an interrupted extension only has fewer new pairs."""
    _write_plan(output, plan, first=len(output.files(PLAN)))
    counts = {
        "pairs": record["plan"]["pairs"] + plan.pairs,
        "shards": record["plan"]["shards"] + plan.shards,
    }
    _write_record(output, {**record, "plan": counts})


def keep_rule(output: Output, record: dict[str, Any], config: JobConfig) -> dict[str, Any]:
    """Replaces the run's rule that rejects pairs by the command's, if it has one; returns the
    record."""
    if config.reject in (None, record["config"].get("reject")):
        return record
    record = {**record, "config": {**record["config"], "reject": config.reject}}
    _write_record(output, record)
    return record


def write_readme(output: Output) -> None:
    """Writes README.md, whose header tells Hugging Face datasets which files are the dataset,
    unless it exists."""
    try:
        output.read(README)
    except FileNotFoundError:
        output.write(README, files("styleid_ray.batch.folder").joinpath("readme.md").read_bytes())


def _write_plan(output: Output, plan: Plan, first: int) -> set[str]:
    """Returns the names of the parts."""
    written: set[str] = set()
    for name, part in write_parts(plan, first):
        output.write_table(f"{PLAN}/{name}", part)
        written.add(f"{PLAN}/{name}")
    return written


def _write_record(output: Output, record: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True)
    output.write(CONFIG, text.encode())


def _record(job: Job, plan: Plan) -> dict[str, Any]:
    config, checkpoint, vae = job.config, job.checkpoint, job.checkpoint.vae
    values = identity(config, checkpoint)
    model: dict[str, Any] = {"name": None, "revision": checkpoint.revision, "fingerprint": None}
    if checkpoint.origin != "none":
        model |= {"name": checkpoint.name, "fingerprint": checkpoint.fingerprint}
        described = checkpoint.description
        if described.default_size != PAPER_SIZE:
            model["size"] = described.default_size
        if described.default_layers:
            model["layers"] = list(described.default_layers)
    facts = ("name", "revision", "fingerprint")
    options = config.model_dump(mode="json") | locations(config)
    return {
        "layout": LAYOUT,
        "fingerprint": digest(values),
        "identity": values,
        "plan": {"pairs": plan.pairs, "shards": plan.shards},
        "model": model,
        **({"vae": {fact: getattr(vae, fact) for fact in facts}} if vae else {}),
        "config": {n: x for n, x in options.items() if n not in config.without_effect},
        "sources": _roots(job),
        "formats": {"content": job.contents.format, "style": job.styles.format},
        "versions": {name: _version(name) for name in _VERSIONS}
        | {"python": platform.python_version()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def stored_vae(record: Mapping[str, Any]) -> str | None:
    """The value of --vae that pins a run's other autoencoder; None for the model's own."""
    vae = record.get("vae")
    return vae and (f"{vae['name']}@{vae['revision']}" if vae["revision"] else vae["name"])


def _roots(job: Job) -> dict[str, str] | None:
    """The locations that keys are relative to; None if one, or a picture's URL, holds a secret."""
    sources = {"content": job.contents, "style": job.styles}
    if any(s.full_urls or without_secrets(s.root) != s.root for s in sources.values()):
        return None
    return {role: source.root for role, source in sources.items()}


def locations(config: JobConfig) -> dict[str, Any]:
    """Locations of sources, model and output, valid in any working directory.

    A URL with a secret is stored without it, so that nothing can be read from it.
    """
    names = ("content", "style", "table", "style_weights", "label_masks", "masks", "output")
    given = {name: getattr(config, name) for name in names}
    return {name: _located(url) for name, url in given.items() if url is not None} | {
        "annotations": [_located(url) for url in config.annotations],
        "lora": [lora.reference_of(name) for name in config.lora],
        "model": _model_place(config.model),
    }


def _model_place(model: str) -> str:
    """A model's location, valid in any working directory. A hub id is not a path, and the last part
    of a folder's name, which identifies the model, must stay."""
    path = local_path(model)
    if model == DEMO_MODEL or path is None or not os.path.exists(os.path.expanduser(path)):
        return _public(model)
    place = absolute(path)
    return place if last_part(place) == last_part(model) else model


def _worded(value: Any) -> str:
    """A value as it is written in a job file."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _located(url: str) -> str:
    path = local_path(url)
    return _public(url) if path is None else absolute(path)


def _public(url: str) -> str:
    return url if without_secrets(url) == url else shown(url)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
