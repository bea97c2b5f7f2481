"""Job files, and options to a checked configuration."""

from __future__ import annotations

from typing import Any

import fsspec
import yaml
from pydantic import ValidationError

from styleid_ray.config import JobConfig
from styleid_ray.errors import ConfigError


def load_job_file(url: str) -> dict[str, Any]:
    """The options of a YAML job file: a mapping whose keys are the names of options.

    Raises ConfigError when it cannot be read, is no mapping, or has an unknown key.
    """
    try:
        with fsspec.open(url, "rt", encoding="utf-8") as f:
            found = yaml.safe_load(f)  # pyright: ignore[reportArgumentType]
    except (OSError, ValueError, ImportError) as e:
        raise ConfigError(f"--config {url} cannot be read: {e}") from e
    except yaml.YAMLError as e:
        said = " ".join(str(e).split())
        raise ConfigError(f"--config {url} is not valid YAML: {said}") from e
    if not isinstance(found, dict):
        raise ConfigError(f"--config {url} must be a mapping of options, one 'name: value' a line")
    options = {str(name).replace("-", "_"): value for name, value in found.items()}
    unknown = [name for name in options if name not in JobConfig.model_fields]
    if unknown:
        raise ConfigError(
            f"--config {url} has unknown keys: {', '.join(unknown)}; "
            f"the known ones are {', '.join(JobConfig.model_fields)}"
        )
    return options


def make_config(options: dict[str, Any]) -> JobConfig:
    """The checked configuration of some options; raises ConfigError that names the wrong ones."""
    try:
        return JobConfig(**options)
    except ValidationError as e:
        raise ConfigError("; ".join(map(_said, e.errors()))) from e


def _said(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    option = "--" + str(error["loc"][0]).replace("_", "-")
    if error["type"] == "missing":
        return f"{option} is missing"
    return f"{option}: {message[0].lower()}{message[1:]} (got {error['input']!r})"
