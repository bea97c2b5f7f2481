"""Texts of a preview: command lines to copy, and the settings of its columns."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from styleid_ray.config import PAPER_SIZE, PIXEL_METHODS, JobConfig, StyleParams, without_effect
from styleid_ray.model.lora import name_of
from styleid_ray.preview.sweep import SWEPT, Column
from styleid_ray.storage.locations import shown

_SECRET = "storage_options"
_ALWAYS = ("preset", "steps", "gamma", "temperature")


def command_line(command: str, options: Mapping[str, Any]) -> str:
    """A command of `styleid-ray` with these options, as typed in a shell, without storage options
    and the secrets in URLs."""
    words = ["styleid-ray", command]
    for name, value in options.items():
        option = name.replace("_", "-")
        if name == _SECRET or value is None:
            continue
        if isinstance(value, bool) and JobConfig.model_fields[name].annotation is bool:
            words.append(f"--{'' if value else 'no-'}{option}")
        else:
            text = str(int(value)) if isinstance(value, bool) else _text(value)
            words += [f"--{option}", shown(text)]
    return shlex.join(words)


def stylize_line(options: Mapping[str, Any], column: Column, size: int) -> str:
    """The command that makes a whole dataset with the values of a column, at a working size."""
    idle = without_effect(column.method)
    rest = {name: x for name, x in options.items() if name not in SWEPT and name not in idle}
    if not column.params.detail:
        rest.pop("detail_luminance", None)
    if column.method in PIXEL_METHODS and size != PAPER_SIZE:
        rest["size"] = size  # the preview's size comes from a model that this job lacks
    return command_line("stylize", rest | {"output": "OUTPUT"} | dict(column.values))


def settings_line(config: JobConfig, columns: Sequence[Column]) -> str:
    """The model, the working size, and the parameters that all columns of StyleID have in common:
    the main ones, and others that differ from their defaults."""
    methods = {column.method for column in columns}
    columns = [column for column in columns if column.method == "styleid"]
    resolved = [column.params.resolved() for column in columns]
    parts = [f"method {x}" for x in methods if len(methods) == 1 and x != "styleid"]
    if config.method not in PIXEL_METHODS:
        parts.append(f"model {shown(config.model)}")
    if config.vae:
        parts.append(f"vae {shown(config.vae)}")
    if config.lora:
        parts.append(f"lora {', '.join(map(name_of, config.lora))}")
    parts.append(f"size {config.working_size}")
    if config.tile:
        parts.append(f"tile {config.tile}")
    if config.fit == "crop":
        parts.append("fit crop")
    for name, field in StyleParams.model_fields.items():
        values = {str(getattr(params, name)) for params in resolved}
        given = any(getattr(column.params, name) != field.default for column in columns[:1])
        if len(values) == 1 and (given or name in _ALWAYS):
            parts.append(f"{name.replace('_', ' ')} {_text(getattr(resolved[0], name))}")
    return ", ".join(parts)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
