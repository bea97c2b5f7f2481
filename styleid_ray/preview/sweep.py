"""The columns of a preview: every combination of the listed values of its options."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, get_args

from styleid_ray.config import (
    EngineOptions,
    JobConfig,
    Method,
    MethodOptions,
    ModelOptions,
    PictureOptions,
    SourceOptions,
    StyleParams,
    flag,
    without_effect,
)
from styleid_ray.controls import Range, Sweep, parse
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config

SWEPT = (
    *("method", "preset", "steps", "gamma", "temperature", "adain", "low_frequency", "detail"),
)
"""Options that take a list of values, the outermost heading first."""
MOST_COLUMNS = 60
_SCHEDULED = ("gamma", "temperature")
_WHOLE = {"masks", "region_styles"}
"""Options that suit all methods of a list, or none."""
_TAKEN = (
    {"storage_options"}.union(
        SourceOptions.model_fields, StyleParams.model_fields, PictureOptions.model_fields
    ).union(MethodOptions.model_fields, ModelOptions.model_fields, EngineOptions.model_fields)
) - {"variants"}
OPTIONS = tuple(name for name in JobConfig.model_fields if name in _TAKEN)
"""Options of a job that a preview takes; they mean the same there."""


@dataclass(frozen=True)
class Column:
    """One combination of values; every pair is made with it."""

    values: Mapping[str, str]
    """One value of each given option, as written for a job."""
    labels: tuple[str, ...]
    """One heading per option with several values, the outermost first."""
    params: StyleParams
    method: Method = "styleid"

    def with_layers(self, layers: tuple[int, ...] | None) -> Column:
        """The column with a model's layers, if its own are unset."""
        if not layers or self.params.layers or self.method != "styleid":
            return self
        return replace(self, params=self.params.model_copy(update={"layers": layers}))


def read_columns(options: Mapping[str, Any]) -> tuple[JobConfig, list[Column]]:
    """The job with the first of the listed values, and the columns of all.

    With several methods, the returned job uses the method with the most options; each column drops
    options that its method ignores.

    Args:
        options: the given ones of `OPTIONS`, and `output`. Options of `SWEPT` may list values,
            separated by commas; for gamma and temperature, semicolons separate schedules, and a
            range stands for its ends and its middle.

    Raises:
        ConfigError: a value is wrong or listed twice, or there are more than `MOST_COLUMNS`.
    """
    listed = {name: _values(name, str(options[name])) for name in SWEPT if name in options}
    several = [name for name, values in listed.items() if len(values) > 1]
    _check_count({name: len(listed[name]) for name in several})
    first = {name: values[0] for name, values in listed.items()}
    if "method" in several:
        first["method"] = min(listed["method"], key=_idle)

    def config_of(values: Mapping[str, str]) -> JobConfig:
        return _config(options, values, several, first.get("method", ""))

    config = config_of(first)
    for name in several:
        if name in _SCHEDULED and not config.inject:
            raise ConfigError(f"{flag(name)}: no effect without injection")
    for name in several:
        _check_distinct(name, [config_of(first | {name: x}) for x in listed[name]])
    columns: dict[tuple[str, ...], Column] = {}
    for combination in itertools.product(*listed.values()):
        values = dict(zip(listed, combination, strict=True))
        made = config_of(values)
        values = {name: x for name, x in values.items() if name not in made.without_effect}
        labels = tuple(
            f"{name.replace('_', ' ')} {values[name]}" if name in values else "" for name in several
        )
        columns[labels] = Column(values, labels, made.style_params, made.method)
    return config, [*columns.values()]


def _idle(method: Any) -> int:
    """Number of options that a method ignores; -1 for an unknown method, so that it comes first and
    is refused."""
    return len(without_effect(method)) if method in get_args(Method) else -1


def _values(name: str, text: str) -> list[str]:
    """The listed values of an option; the config refuses wrong ones later."""
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


def _config(
    options: Mapping[str, Any], values: Mapping[str, Any], several: list[str], main: Any
) -> JobConfig:
    """The job with these values, without options that its method ignores and the main one uses."""
    chosen = {**options, **values}
    if "method" in several:
        idle = without_effect(values["method"]) - without_effect(main) - _WHOLE
        chosen = {name: value for name, value in chosen.items() if name not in idle}
    # A column without detail is the baseline of those with detail.
    if "detail" in several and _is_zero(values["detail"]):
        chosen.pop("detail_luminance", None)
    return make_config(chosen)


def _is_zero(text: str) -> bool:
    with suppress(ValueError):
        return float(text) == 0
    return False


def _check_count(counts: Mapping[str, int]) -> None:
    if (columns := math.prod(counts.values())) > MOST_COLUMNS:
        factors = " x ".join(f"{n} of {flag(name)}" for name, n in counts.items())
        raise ConfigError(
            f"{factors}: {columns} columns, more than the {MOST_COLUMNS} that a preview shows; "
            "list fewer values"
        )


def _check_distinct(name: str, configs: Sequence[JobConfig]) -> None:
    values = [getattr(config, name) for config in configs]
    if repeated := [value for i, value in enumerate(values) if value in values[:i]]:
        raise ConfigError(f"{flag(name)}: the list names {repeated[0]} twice")
