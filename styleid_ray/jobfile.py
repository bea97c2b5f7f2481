"""Job files, and options to a checked configuration."""

from __future__ import annotations

import reprlib
from typing import Any

import fsspec
import yaml
from pydantic import ValidationError

from styleid_ray.config import JobConfig, RunOptions
from styleid_ray.errors import ConfigError
from styleid_ray.storage.locations import shown

_MOST_FAULTS, _MOST_CHARACTERS = 5, 300


def load_job_file(url: str) -> dict[str, Any]:
    """The options of a YAML job file: a mapping whose keys are the names of options.

    Raises ConfigError when it cannot be read, is no mapping, or has an unknown key.
    """
    try:
        with fsspec.open(url, "rt", encoding="utf-8") as f:
            text: str = f.read()  # pyright: ignore[reportAttributeAccessIssue]
    except Exception as e:  # each filesystem has its own errors
        raise ConfigError(f"--config {shown(url)} cannot be read: {_one_line(str(e))}") from e
    try:
        found = yaml.safe_load(text)
    except Exception as e:  # a wrong value of a tag comes out as nearly anything
        raise ConfigError(f"--config {shown(url)} is not valid YAML: {_fault(e)}") from None
    if not isinstance(found, dict):
        raise ConfigError(
            f"--config {shown(url)} must be a mapping of options, one 'name: value' a line"
        )
    options = {str(name).replace("-", "_"): value for name, value in found.items()}
    unknown = [name for name in options if name not in JobConfig.model_fields]
    if unknown:
        raise ConfigError(
            f"--config {shown(url)} has unknown keys: {_one_line(', '.join(unknown))}; "
            f"the known ones are {', '.join(JobConfig.model_fields)}"
        )
    return options


def _fault(error: Exception) -> str:
    """What is wrong with YAML, and where; never its text, in which secrets may stand."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"it cannot be read ({type(error).__name__})"
    mark = error.problem_mark
    return _one_line(f"{error.problem}, line {mark.line + 1}, column {mark.column + 1}")


def make_config(options: dict[str, Any]) -> JobConfig:
    """The checked configuration of some options; raises ConfigError that names the wrong ones."""
    try:
        return JobConfig(**options)
    except ValidationError as e:
        faults = list(dict.fromkeys(map(_fault_of, e.errors())))
        more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
        raise ConfigError("; ".join(faults[:_MOST_FAULTS] + more)) from e


def make_storage_options(given: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """What `--storage-options` says on the command line or in a job file; raises ConfigError."""
    try:
        return RunOptions.model_validate({"storage_options": given}).storage_options
    except ValidationError as e:
        raise ConfigError("; ".join(map(_fault_of, e.errors()))) from None


def _fault_of(error: Any) -> str:
    message = _one_line(error["msg"].removeprefix("Value error, "))
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    option = _one_line("--" + name.replace("_", "-"))
    if error["type"] == "missing":
        return f"{option} is missing"
    text = f"{option}: {message[0].lower()}{message[1:]}"
    field = JobConfig.model_fields.get(name)
    if field is not None and not field.repr:  # a secret
        return text
    # Never the whole of it: a few lines of YAML aliases can stand for gigabytes.
    return f"{text} (got {_one_line(reprlib.repr(error['input']))})"


def _one_line(text: str) -> str:
    line = shown(" ".join(text.split()))
    return line[:_MOST_CHARACTERS]
