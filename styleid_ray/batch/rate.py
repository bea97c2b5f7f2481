"""The rate of an actor, as a number or as a run has measured it (`plan --rate`)."""

from __future__ import annotations

from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import Options, shown


def actor_rate(given: str | float, storage_options: Options = None) -> float:
    """UNet evaluations per second of one actor.

    Args:
        given: the number, or a run that measured it: its folder or URL, or its `summary.json`.
        storage_options: what fsspec opens the run with.

    Raises:
        ConfigError: it is neither.
        OutputError: the run cannot be reached.
    """
    try:
        return float(given)
    except ValueError:
        pass
    run = str(given).removesuffix(SUMMARY).rstrip("/") or "."
    rate = Output(run, storage_options).summary().get("session", {}).get("actor_rate")
    if not rate:
        raise ConfigError(
            f"--rate {shown(str(given))}: must be UNet evaluations per second as a number, or a "
            f"run whose {SUMMARY} has measured them, such as a pilot made with --limit"
        )
    return rate
