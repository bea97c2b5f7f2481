"""Job files, and the check of options into a configuration."""

import re
import reprlib
from collections.abc import Sequence
from typing import Any

import fsspec
import yaml
from pydantic import ValidationError

from styleid_ray.config import TAGS, JobConfig, RunOptions, flag
from styleid_ray.errors import ConfigError, suggestion
from styleid_ray.storage.locations import shown

_MOST_FAULTS, _MOST_CHARACTERS = 5, 300
_NO_SUCH_OPTION = "; styleid-ray stylize --help-all lists the options"
# Kinds of pydantic's faults, and the requirement that each stands for.
_MUST_BE = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    "string_type": "text",
}
_WRONG_COUNT = ("tuple_type", "too_long", "too_short", "missing")


def load_job_file(url: str) -> dict[str, Any]:
    """The options of a YAML job file, by name. Raises ConfigError when it cannot be read, is not a
    mapping, or has an unknown or repeated key."""
    try:
        with fsspec.open(url, "rt", encoding="utf-8") as f:
            text: str = f.read()  # pyright: ignore[reportAttributeAccessIssue]
    except Exception as e:  # each filesystem has its own errors
        raise ConfigError(f"--config {shown(url)} cannot be read: {_one_line(str(e))}") from e
    try:
        loaded = yaml.safe_load(text)
        node = yaml.compose(text)  # keeps repeated keys
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
    except Exception as e:  # a wrong value of a tag raises nearly anything
        raise ConfigError(f"--config {shown(url)} is not valid YAML: {_fault(e)}") from None
    if not isinstance(loaded, dict):
        raise ConfigError(
            f"--config {shown(url)} must be a mapping of options, one 'name: value' per line"
        )
    options = {str(name).replace("-", "_"): value for name, value in loaded.items()}
    names = [str(key.value).replace("-", "_") for key, _ in pairs]
    for name in options:
        if names.count(name) > 1:
            raise ConfigError(f"--config {shown(url)} has the key {_one_line(name)} twice")
        if name not in JobConfig.model_fields:
            raise ConfigError(
                f"--config {shown(url)} has the unknown key {_one_line(name)}"
                f"{suggestion(name, JobConfig.model_fields) or _NO_SUCH_OPTION}"
            )
    return options


def _fault(error: Exception) -> str:
    """The fault in YAML and its position; never its text, which may hold secrets."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"it cannot be read ({type(error).__name__})"
    mark = error.problem_mark
    return _one_line(f"{error.problem}, line {mark.line + 1}, column {mark.column + 1}")


def make_config(options: dict[str, Any]) -> JobConfig:
    """The checked configuration from options; raises ConfigError that names the wrong ones."""
    try:
        return JobConfig(**options)
    except ValidationError as e:
        raise ConfigError(_message(e)) from e


def make_storage_options(given: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """The checked `--storage-options` of a command line or job file; raises ConfigError."""
    try:
        return RunOptions.model_validate({"storage_options": given}).storage_options
    except ValidationError as e:
        raise ConfigError(_message(e)) from None


def _message(error: ValidationError) -> str:
    by_option: dict[str, list[Any]] = {}
    for fault in error.errors():
        by_option.setdefault(str(fault["loc"][0]) if fault["loc"] else "", []).append(fault)
    messages = [_fault_of(name, faults) for name, faults in by_option.items()]
    more = [f"and {len(messages) - _MOST_FAULTS} more"] if len(messages) > _MOST_FAULTS else []
    return "; ".join(messages[:_MOST_FAULTS] + more)


def _fault_of(name: str, faults: list[Any]) -> str:
    """The fault of one option. Several faults are of its alternatives, or of the items of its list;
    of items, only the first is named."""
    first = faults[0]
    if not name:
        return _one_line(first["msg"].removeprefix("Value error, "))
    option, path = _one_line(flag(name)), first["loc"][1:]
    field = JobConfig.model_fields.get(name)
    if field is None:
        return f"{option} is not an option{suggestion(name, JobConfig.model_fields)}"
    if first["type"] == "missing" and not path:
        return f"{option} is missing"
    alternatives = faults if path and isinstance(path[0], str) else faults[:1]
    text = f"{option}: {_wanted(alternatives, TAGS[name].written)}"
    return text if not field.repr else text + _got(faults)  # a secret is not repeated


def value_fault(option: str, error: ValidationError) -> str:
    """The fault of an option's value, for an option outside a job's configuration."""
    return f"{option}: {_wanted(error.errors()[:1], None)}{_got(error.errors())}"


def _got(faults: Sequence[Any]) -> str:
    """The given value, and the one that was probably meant."""
    value = faults[0]["input"]
    # Shortened: a few lines of YAML aliases can expand to gigabytes.
    text = f" (got {_one_line(reprlib.repr(value))})"
    if not isinstance(value, str):
        return text
    expected = [fault.get("ctx", {}).get("expected", "") for fault in faults]
    choices = [choice for text in expected for choice in re.findall(r"'([^']*)'", text)]
    return text + _one_line(suggestion(value[:_MOST_CHARACTERS], choices))


def _wanted(faults: Sequence[Any], written: str | None) -> str:
    """The requirement on a value, or another message about it; several faults are alternatives."""
    first, *others = [_requirement(fault, written) for fault in faults]
    return _one_line(" or ".join([first, *(one.removeprefix("must be ") for one in others)]))


def _requirement(fault: Any, written: str | None) -> str:
    kind = fault["type"]
    if kind == "literal_error":
        return f"must be {fault['ctx']['expected'].replace(chr(39), '')}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}"
    if kind in _WRONG_COUNT and written:
        return f"must be written as {written}"
    message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return message[:1].lower() + message[1:]


def _one_line(text: str) -> str:
    line = shown(" ".join(text.split()))
    return line[:_MOST_CHARACTERS]
