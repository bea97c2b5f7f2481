"""The README's table of options, from the configuration: `python -m styleid_ray.optiontable`."""

from __future__ import annotations

from typing import get_args

from styleid_ray.config import Changes, JobConfig, changes

_GROUPS: dict[Changes, str] = {
    "nothing": "Sources, machines and limits: each command may have its own",
    "pairs": "Pairs",
    "picture": "Pictures",
    "encoding": "Precision and encoding",
}
assert set(_GROUPS) == set(get_args(Changes))


def option_table() -> str:
    """Every option of a job with its default and meaning, as a Markdown table, grouped by what an
    option changes: a run has one value for each of the last three groups."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for group, title in _GROUPS.items():
        lines.append(f"| **{title}** | | |")
        for name in [name for name in JobConfig.model_fields if changes(name) == group]:
            field = JobConfig.model_fields[name]
            none = field.is_required() or field.default in (None, ())
            default = "" if none else f"`{field.default}`"
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `--{name.replace('_', '-')}` | {default} | {meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(option_table())
