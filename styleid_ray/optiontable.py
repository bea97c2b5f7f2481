"""The README's table of options, from the configuration: `python -m styleid_ray.optiontable`."""

from __future__ import annotations

from styleid_ray import config
from styleid_ray.config import JobConfig

_GROUPS = (
    ("Pictures and pairs", config.SourceOptions),
    ("Output", config.OutputOptions),
    ("Size", config.PictureOptions),
    ("StyleID", config.StyleParams),
    ("Model", config.ModelOptions),
    ("Shards", config.ShardOptions),
    ("Engine", config.EngineOptions),
    ("Cluster", config.ClusterOptions),
    ("Run", config.RunOptions),
)


def option_table() -> str:
    """Every option of a job with its default and meaning, as a Markdown table."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for title, group in _GROUPS:
        lines.append(f"| **{title}** | | |")
        for name in group.model_fields:
            field = JobConfig.model_fields[name]
            default = "" if field.is_required() or field.default is None else f"`{field.default}`"
            said = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `--{name.replace('_', '-')}` | {default} | {said} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(option_table())
