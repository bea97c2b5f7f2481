"""The job of a run, from its record."""

from collections.abc import Iterable, Mapping
from typing import Any

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import stored_vae
from styleid_ray.config import JobConfig, flag
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config, make_storage_options

_HIDDEN = ("://...@", "?...")
"""Marks that replace a secret in a location."""
_LOCATIONS = ("content", "style", "table", "masks", "label_masks", "model")


def stored_job(
    output: str, options: dict[str, Any], needed: Iterable[str] = _LOCATIONS
) -> JobConfig:
    """The job of the run at `output`. `options` of the command replace its own, and `needed` are
    the locations that the command reads.

    Raises:
        OutputError: there is no run.
        ConfigError: an option is not valid, or a URL was stored without the secret in it.
    """
    record = Output(output, make_storage_options(options.get("storage_options"))).existing_record()
    stored = {name: value for name, value in record["config"].items() if value not in (None, "")}
    for name in needed:
        if name == "label_masks" and not stored.get("region_styles"):
            continue  # only an export reads them
        if name not in options and is_hidden(stored.get(name)):
            option = flag(name)
            raise ConfigError(
                f"{option} was stored as {stored[name]}, without its password or signature: "
                f"give {option} again"
            )
    # The commits that branches pointed to when the run began, not the current ones.
    pinned = {
        "revision": record["model"]["revision"] or stored.get("revision"),
        "vae": stored_vae(record),
    }
    return make_config({**stored, **pinned, **options, "output": output})


def run_source(
    record: Mapping[str, Any], role: str, storage_options: Mapping[str, Any] | None
) -> Source:
    """The location of a run's pictures of a role, "content" or "style", without a listing. Where a
    URL held a secret, which is not stored, only keys that are locations themselves can be read."""
    roots = record.get("sources")
    return Source(roots[role] if roots else "", (), dict(storage_options or {}))


def is_hidden(location: Any) -> bool:
    """Whether a location, or one in a list, was stored without its secret."""
    return any(mark in str(location) for mark in _HIDDEN)
