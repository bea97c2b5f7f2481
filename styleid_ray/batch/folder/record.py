"""The stored record of a run: begun, extended, and compared with a command."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import yaml

from styleid_ray.batch.folder.output import CONFIG, LAYOUT, PLAN, Output
from styleid_ray.batch.folder.readme import write_readme
from styleid_ray.config import ADDED, DEMO_MODEL, PAPER_SIZE, Changes, JobConfig, digest
from styleid_ray.datasets.source import Source
from styleid_ray.errors import OutputError
from styleid_ray.model import lora
from styleid_ray.model.checkpoint import Checkpoint, last_part
from styleid_ray.model.description import ModelDescription
from styleid_ray.model.vae import name_of
from styleid_ray.planning import Plan, write_parts
from styleid_ray.storage.locations import absolute, local_path, shown
from styleid_ray.storage.secrets import without_secrets

if TYPE_CHECKING:
    from styleid_ray.batch.prepare import Job

_VERSIONS = ("styleid-ray", "torch", "diffusers", "ray", "pyarrow", "pillow")


def model_identity(checkpoint: Checkpoint) -> str | None:
    """What tells a model from others, wherever it lies: the last part of its name, and its
    fingerprint; None where there is none."""
    if checkpoint.origin == "none":
        return None
    return f"{last_part(checkpoint.name)} {checkpoint.fingerprint}"


def identity(config: JobConfig, checkpoint: Checkpoint, *changing: Changes) -> dict[str, Any]:
    """What decides the output's contents: the options, and the model, its other autoencoder and its
    LoRA weights, as far as the method has them, by their own fingerprints.

    Args:
        config: the job.
        checkpoint: its model.
        changing: as in `JobConfig.identity`.
    """
    values, model = config.identity(*changing), model_identity(checkpoint)
    values |= {"model": model} if model else {}
    values |= {"vae": checkpoint.vae.identity} if checkpoint.vae else {}
    return values | ({"lora": _loras(checkpoint)} if checkpoint.loras else {})


def with_precision(config: JobConfig, gpus: float) -> JobConfig:
    """The job with the precisions that `auto` stands for where actors have GPUs, or have none.
    GPUs that are reserved for actors on the CPU (`--device cpu`) do not count. A precision that the
    method ignores stays as it is."""
    dtype = config.dtype
    if dtype == "auto":
        dtype = "float16" if gpus and config.device != "cpu" else "float32"
    features = config.feature_dtype if config.feature_dtype != "auto" else dtype
    chosen = {"dtype": dtype, "feature_dtype": features}
    return config.model_copy(
        update={name: x for name, x in chosen.items() if name not in config.without_effect}
    )


def with_defaults(config: JobConfig, size: int, layers: Sequence[int] | None) -> JobConfig:
    """The job with a model's working size and layers where it leaves them open, and without tiles
    that no picture is larger than.

    Args:
        config: the job.
        size: in pixels.
        layers: None for those of the preset.
    """
    chosen: dict[str, Any] = {} if config.size else {"size": size}
    if config.tile and config.tile >= (config.size or size):
        chosen["tile"] = None
    if layers and not config.layers and "layers" not in config.without_effect:
        chosen["layers"] = tuple(layers)
    return config.model_copy(update=chosen)


def with_stored(config: JobConfig, record: Mapping[str, Any]) -> JobConfig:
    """The job with what its run has where it leaves it open: precisions, and the defaults of the
    run's model."""
    stored = record["identity"]
    names = [n for n in ("dtype", "feature_dtype") if n in stored and getattr(config, n) == "auto"]
    config = config.model_copy(update={name: stored[name] for name in names})
    model = record["model"]
    return with_defaults(config, model.get("size", PAPER_SIZE), model.get("layers"))


def find_run(output: Output, config: JobConfig, needed: bool = False) -> dict[str, Any] | None:
    """The record of the run at `output`, or None where there is none.

    A run is resumed with the pairs and in the shards that it has: sources and model are not looked
    at.

    Raises:
        OutputError: the run there is another one (the message names what differs) or damaged, or
            there is none and it is needed.
    """
    record = output.existing_record() if needed else output.record()
    if record is None:
        if output.files("data") or output.files("errors"):
            raise OutputError(
                f"{output.url} holds shards but no {CONFIG}: it is damaged, or something else's; "
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
    # Any other option on one side alone has no effect on the other, for a reason that differs.
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


def check_model(output: Output, record: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Raises OutputError when a run was begun with another model, autoencoder or LoRA weights than
    these."""
    old = record["identity"]
    vae = checkpoint.vae.identity if checkpoint.vae else None
    for what, before, now in (
        ("model", old.get("model"), model_identity(checkpoint)),
        ("autoencoder", old.get("vae"), vae),
        ("LoRA", old.get("lora"), _loras(checkpoint)),
    ):
        if before != now:
            raise OutputError(
                f"{output.url} was made with another {what} "
                f"(the run has {_worded(before)}, this command {_worded(now)}): "
                "use the same one to resume, or choose another --output"
            )


def begin_run(output: Output, job: Job, plan: Plan) -> None:
    """Stores the plan and the record of a new run, the record last: a run that has one has its
    whole plan. Does nothing where another driver has begun the same run since `find_run`.

    Raises:
        OutputError: another driver has begun another run there.
    """
    record = find_run(output, job.config)
    if record:
        check_model(output, record, job.checkpoint)
        return
    written = _write_plan(output, plan, first=0)
    # Those of a beginning that was cut off, in other shards. Never those of a driver beside this
    # one, which may be reading them already.
    for name in sorted({*output.files(PLAN)} - written):
        output.delete(name)
    if job.config.format == "parquet":
        write_readme(output)
    _write_record(output, _record(job, plan))


def extend_run(output: Output, record: Mapping[str, Any], plan: Plan) -> None:
    """Adds the pairs of another plan to a run, in parts and shards of their own. Each part that is
    there is complete in itself, so one that is cut off in between has fewer new pairs."""
    _write_plan(output, plan, first=len(output.files(PLAN)))
    counts = {
        "pairs": record["plan"]["pairs"] + plan.pairs,
        "shards": record["plan"]["shards"] + plan.shards,
    }
    _write_record(output, {**record, "plan": counts})


def keep_rule(output: Output, record: dict[str, Any], config: JobConfig) -> dict[str, Any]:
    """Stores a command's rule that rejects pairs in place of the run's; returns the record as it is
    now. A command without a rule leaves the run's."""
    if config.reject in (None, record["config"].get("reject")):
        return record
    record = {**record, "config": {**record["config"], "reject": config.reject}}
    _write_record(output, record)
    return record


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
    config, checkpoint = job.config, job.checkpoint
    values = identity(config, checkpoint)
    known = checkpoint.origin != "none"
    options = config.model_dump(mode="json") | locations(config)
    return {
        "layout": LAYOUT,
        "fingerprint": digest(values),
        "identity": values,
        "plan": {"pairs": plan.pairs, "shards": plan.shards},
        "model": {
            "name": checkpoint.name if known else None,
            "revision": checkpoint.revision,
            "fingerprint": checkpoint.fingerprint if known else None,
            **(_defaults(checkpoint.description) if known else {}),
        },
        **_vae(checkpoint),
        "config": {n: x for n, x in options.items() if n not in config.without_effect},
        "sources": _roots(job.contents, job.styles),
        "formats": {"content": job.contents.format, "style": job.styles.format},
        "versions": {name: _version(name) for name in _VERSIONS}
        | {"python": platform.python_version()},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _defaults(model: ModelDescription) -> dict[str, Any]:
    """Working size and layers of a model where they are not the paper's."""
    size, layers = model.default_size, model.default_layers
    return ({"size": size} if size != PAPER_SIZE else {}) | (
        {"layers": list(layers)} if layers else {}
    )


def stored_vae(record: Mapping[str, Any]) -> str | None:
    """The value of --vae that stands for a run's other autoencoder alone; None where it has its
    model's own."""
    vae = record.get("vae")
    return vae and (f"{vae['name']}@{vae['revision']}" if vae["revision"] else vae["name"])


def _loras(checkpoint: Checkpoint) -> list[str] | None:
    return [lora.identity for lora in checkpoint.loras] or None


def _vae(checkpoint: Checkpoint) -> dict[str, Any]:
    vae = checkpoint.vae
    if vae is None:
        return {}
    return {
        "vae": {"name": vae.name, "revision": vae.revision, "fingerprint": vae.fingerprint},
    }


def _roots(contents: Source, styles: Source) -> dict[str, str] | None:
    """What keys are relative to; None where that, or a picture's URL, holds a secret."""
    sources = {"content": contents, "style": styles}
    if any(s.full_urls or without_secrets(s.root) != s.root for s in sources.values()):
        return None
    return {role: source.root for role, source in sources.items()}


def locations(config: JobConfig) -> dict[str, Any]:
    """Where sources, model and output lie, for another command in another working directory.

    A URL that holds a secret is kept as it may be shown, which nothing can be read from.
    """
    names = ("content", "style", "table", "style_weights", "label_masks", "masks", "output")
    given = {name: getattr(config, name) for name in names}
    return {name: _located(url) for name, url in given.items() if url is not None} | {
        "annotations": [_located(url) for url in config.annotations],
        "lora": [lora.reference_of(name) for name in config.lora],
        "model": _model_place(config.model),
    }


def _model_place(model: str) -> str:
    """A model as another working directory knows it. A hub id is no path, and a folder is known by
    the last part of its name, which must stay."""
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
