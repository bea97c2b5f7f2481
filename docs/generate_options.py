"""The page docs/options.md, from the configuration: `python -m docs.generate_options`."""

from __future__ import annotations

from styleid_ray.commandline.offered import default_text, is_flag, written
from styleid_ray.config import TAGS, JobConfig, flag, group_of

_HEAD = """\
# Options

Every option of `styleid-ray stylize`. `submit`, `plan`, `preview`, `analyze` and `retry` accept the
ones that apply to them. The same names are keys of a job file: `styleid-ray stylize --config
job.yaml` ([example](../jobs/example.yaml)). `styleid-ray stylize --help` shows the usual ones,
`--help-all` all of them. `--no-NAME` switches a flag off.

The last column says what an option changes: the picture of a pair, which pairs there are, or how a
picture is computed and stored (encoding). Every command on a run must use the same values of these
options; the others may differ from command to command.

This page is generated from the configuration: `python -m docs.generate_options`.
"""


def options_page() -> str:
    """Every option of a job, in its group, with how it is written, its default, its meaning and
    what it changes, in Markdown."""
    options = JobConfig.model_fields
    sections = [_HEAD]
    for group in dict.fromkeys(map(group_of, options)):
        rows = "\n".join(_row(name) for name in options if group_of(name) == group)
        sections.append(
            f"## {group.capitalize()}\n\n"
            "| option | default | meaning | changes |\n|---|---|---|---|\n" + rows + "\n"
        )
    return "\n".join(sections)


def _row(name: str) -> str:
    form = "" if is_flag(name) else f" {written(name)}"
    default = default_text(name)
    meaning = " ".join((JobConfig.model_fields[name].description or "").split())
    changes = TAGS[name].changes.replace("nothing", "")
    cells = (f"`{flag(name)}{form}`", default and f"`{default}`", meaning, changes)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(options_page(), end="")
