"""The columns of a preview: every combination of the values that its options list."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import (
    EngineOptions,
    JobConfig,
    ModelOptions,
    PictureOptions,
    SourceOptions,
    StyleParams,
)
from styleid_ray.controls import Range, Sweep, parse
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config

SWEPT = ("preset", "steps", "gamma", "temperature", "adain", "low_frequency", "detail")
"""Options that take a list of values, the outermost heading first."""
MOST_COLUMNS = 60
_SCHEDULED = ("gamma", "temperature")
_GROUPS = (SourceOptions, StyleParams, PictureOptions, ModelOptions, EngineOptions)
_TAKEN = {"storage_options"}.union(*(group.model_fields for group in _GROUPS)) - {"variants"}
OPTIONS = tuple(name for name in JobConfig.model_fields if name in _TAKEN)
"""Options of a job that a preview takes, with the meaning that they have there."""


@dataclass(frozen=True)
class Column:
    """One combination of values, with which every pair is made."""

    values: Mapping[str, str]
    """By option, as written for a job: one value of each that was given."""
    labels: tuple[str, ...]
    """One heading per option with several values, the outermost first."""
    params: StyleParams


def read_columns(options: Mapping[str, Any]) -> tuple[JobConfig, list[Column]]:
    """The job that the options describe, with the first of the listed values, and its columns.

    Args:
        options: those of `OPTIONS` that were given, and `output`. One of `SWEPT` may list values,
            separated by commas; of gamma and temperature a semicolon separates schedules, and a
            range stands for its ends and its middle.

    Raises:
        ConfigError: a value is wrong or listed twice, or there are more than `MOST_COLUMNS`.
    """
    listed = {name: _values(name, str(options[name])) for name in SWEPT if name in options}
    several = [name for name, values in listed.items() if len(values) > 1]
    _check_count({name: len(listed[name]) for name in several})
    first = {name: values[0] for name, values in listed.items()}
    config = _config(options, first, several)
    _check_effect(config, several)
    for name in several:
        _check_distinct(name, [_config(options, first | {name: x}, several) for x in listed[name]])
    columns: list[Column] = []
    for combination in itertools.product(*listed.values()):
        values = dict(zip(listed, combination, strict=True))
        labels = tuple(f"{name.replace('_', ' ')} {values[name]}" for name in several)
        columns.append(Column(values, labels, _config(options, values, several).style_params))
    return config, columns


def _values(name: str, text: str) -> list[str]:
    """The values that an option lists; those that are wrong are left for the config to refuse."""
    if name not in _SCHEDULED:
        return [part.strip() for part in text.split(",")]
    values: list[str] = []
    for part in text.split(";"):
        try:
            control = parse(part)
        except ValueError:
            return [part]
        match control:
            case Range(low, high):
                values += [f"{value:g}" for value in (low, (low + high) / 2, high)]
            case Sweep(several):
                values += [f"{value:g}" for value in several]
            case _:
                values.append(str(control))
    return values


def _config(options: Mapping[str, Any], values: Mapping[str, str], several: list[str]) -> JobConfig:
    chosen = {**options, **values}
    # Beside others with detail, a column without any is what they are compared with.
    if "detail" in several and _is_zero(values["detail"]):
        chosen.pop("detail_luminance", None)
    return make_config(chosen)


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _check_count(counts: Mapping[str, int]) -> None:
    if (columns := math.prod(counts.values())) > MOST_COLUMNS:
        factors = " x ".join(f"{n} of {_option(name)}" for name, n in counts.items())
        raise ConfigError(
            f"{factors}: {columns} columns, more than the {MOST_COLUMNS} that a preview shows; "
            "list fewer values"
        )


def _check_effect(config: JobConfig, several: Sequence[str]) -> None:
    for name in several:
        if name in _SCHEDULED and not config.inject:
            raise ConfigError(f"{_option(name)}: no effect without injection")


def _check_distinct(name: str, configs: Sequence[JobConfig]) -> None:
    values = [getattr(config, name) for config in configs]
    if repeated := [value for i, value in enumerate(values) if value in values[:i]]:
        raise ConfigError(f"{_option(name)}: the list names {repeated[0]} twice")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
