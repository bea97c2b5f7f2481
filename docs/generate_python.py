"""The page docs/python.md, from signatures and docstrings: `python -m docs.generate_python`."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import styleid_ray

_HEAD = """\
# Python

The public names of `styleid_ray`. Everything else may change without notice.

- **Pictures in one process**: [`StyleIDPipeline`](#styleidpipeline), without Ray.
- **A step of a Ray Data pipeline**: [`stylize_dataset`](#stylize_dataset).
- **A whole job**: [`JobConfig`](#jobconfig) has the options of the command line,
  [`stylize`](#stylize) runs or resumes it.

Errors are in `styleid_ray.errors`. A `JobError` is one line that says what to change: `ConfigError`
for an option, `ModelError` for a model, `SourceError` for a source, `OutputError` for an output. A
`RowError` is about a single picture.

This page is generated from the docstrings: `python -m docs.generate_python`.
"""
_ATTRIBUTES = """\
`pipe.factor`: the sides of a picture, in pixels, must be multiples of it. `pipe.notes`: decisions
of the engine that a user may want to know.
"""
_FIELDS = """\
Each option is an argument: `StyleParams(gamma=0.5, layers="7-11")`. A wrong value, or an unknown
name, is a `pydantic.ValidationError`. Forms, ranges and meanings: [options](options.md#style).
"""
_JOB = """\
    config = JobConfig(content="photos/", style="paintings/", output="out/first", model="demo")
    summary = stylize(config)
    print(summary.done, summary.failed, summary.missing, summary.exit_status)

Names and values are those of [options](options.md), with `_` for `-`. A wrong value, an unknown
name, or options that do not go together are a `pydantic.ValidationError`.
"""
_METHODS = (
    *("from_pretrained", "__call__", "stylize", "transfer_latents", "invert_latents"),
    *("encode", "decode", "counts", "unet_evaluations"),
)


def python_page() -> str:
    """Signatures and docstrings of the public names, in Markdown."""
    pipeline = styleid_ray.StyleIDPipeline
    sections = [_HEAD, *_section("StyleIDPipeline", pipeline), _ATTRIBUTES]
    for name in _METHODS:
        sections += _section(f"StyleIDPipeline.{name}", getattr(pipeline, name), 3)
    sections += ["## StyleParams\n", _text(styleid_ray.StyleParams) + "\n", _FIELDS]
    sections += _section("stylize_dataset", styleid_ray.stylize_dataset)
    sections += ["## JobConfig\n", _text(styleid_ray.JobConfig) + "\n", _JOB]
    sections += _section("stylize", styleid_ray.stylize)
    return "\n".join(sections)


def _section(name: str, subject: Any, level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} {name.rsplit('.', 1)[-1].replace('__call__', 'pipe(…)')}\n"
    if callable(subject):
        yield f"```python\n{_signature(name, subject)}\n```\n"
    yield _text(subject) + "\n"


def _signature(name: str, subject: Callable[..., Any]) -> str:
    """The call with its arguments, one per line where they are many."""
    arguments: list[str] = []
    parameters = [p for p in inspect.signature(subject).parameters.values() if p.name != "self"]
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        stars = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}
        default = repr(parameter.default).replace("'", '"')
        default = "" if parameter.default is parameter.empty else f"={default}"
        arguments.append(f"{stars.get(parameter.kind, '')}{parameter.name}{default}")
    call = name.replace("StyleIDPipeline.__call__", "pipe").replace("StyleIDPipeline.", "pipe.")
    call = call.replace("pipe.from_pretrained", "StyleIDPipeline.from_pretrained")
    line = f"{call}({', '.join(arguments)})"
    return line if len(line) <= 100 else f"{call}(\n    " + ",\n    ".join(arguments) + ",\n)"


def _text(subject: Any) -> str:
    """A docstring in Markdown: its arguments and errors as lists."""
    lines: list[str] = []
    for line in (inspect.getdoc(subject) or "").splitlines():
        if re.fullmatch(r"(Args|Raises|Returns):", line):
            lines += [f"**{line}**", ""]
        elif item := re.fullmatch(r"    (\w[\w, ]*): (.*)", line):
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            lines.append(re.sub(r"^ {6,}", "  ", line))
    return "\n".join(lines)


if __name__ == "__main__":
    print(python_page(), end="")
