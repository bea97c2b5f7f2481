"""The command `styleid-ray`.

Exit status: 0 when every pair is done, 1 when it ran but some failed, 2 when it could not run.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, TypedDict, get_args, get_origin

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from styleid_ray.config import JobConfig
from styleid_ray.errors import StyleIDError
from styleid_ray.jobfile import load_job_file, make_config

_TEXT = {"layers": "6-11", "actors": "MIN,MAX"}
"""Options that are written as one word, though they hold several numbers."""


def _job_options() -> Any:
    """The options of `JobConfig` as a TypedDict, so that only what was given is in it."""
    fields: dict[str, Any] = {}
    for name, field in JobConfig.model_fields.items():
        said = " ".join((field.description or "").split())
        default = (
            "" if field.is_required() or field.default is None else f" [default: {field.default}]"
        )
        kind = str if name in _TEXT else _without_none(field.annotation)
        metavar = _TEXT.get(name)
        fields[name] = Annotated[
            kind, arg(help=said + default, metavar=metavar, help_behavior_hint="")
        ]
    return TypedDict("JobOptions", fields, total=False)  # pyright: ignore[reportArgumentType]


def _without_none(kind: Any) -> Any:
    kinds = [one for one in get_args(kind) if one is not type(None)]
    return kinds[0] if get_origin(kind) is UnionType and len(kinds) == 1 else kind


JobOptions = _job_options()
_Options = Annotated[JobOptions, arg(name="")]
_ConfigFile = Annotated[
    str | None,
    arg(
        metavar="FILE",
        help="YAML job file; options given here override its keys.",
        help_behavior_hint="",
    ),
]


def _config(config: str | None, options: dict[str, Any]) -> JobConfig:
    return make_config({**(load_job_file(config) if config else {}), **options})


def stylize(options: _Options, config: _ConfigFile = None) -> int:
    """Stylise a dataset: every pair of contents and styles, on Ray. Running again resumes.

    Example: styleid-ray stylize --content photos/ --style paintings/ --output out/run
    """
    from styleid_ray.batch.run import stylize as run

    return run(_config(config, options)).exit_status


def plan(
    options: _Options,
    config: _ConfigFile = None,
    rate: Annotated[
        float | None, arg(help="UNet evaluations a second, to estimate the time.")
    ] = None,
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
) -> int:
    """Say what a job would cost: pairs, shards, UNet evaluations. Runs nothing."""
    from styleid_ray.batch.prepare import prepare

    job = prepare(_config(config, options))
    cost = job.cost
    counts: dict[str, Any] = {
        "pairs": cost.pairs,
        "shards": cost.shards,
        "contents": cost.contents,
        "styles": cost.styles,
        "inversions": cost.content_inversions + cost.style_inversions,
        "unet_evaluations": cost.unet_evaluations,
        "naive_unet_evaluations": cost.naive_unet_evaluations,
        "fingerprint": job.fingerprint,
    }
    if rate:
        counts["seconds"] = round(cost.unet_evaluations / rate, 1)
    _print(counts, json)
    return 0


def status(
    output: Positional[str],
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
) -> int:
    """Say how far the run at OUTPUT is, by its committed files alone."""
    from styleid_ray.batch.output import Output
    from styleid_ray.batch.status import read_status

    found = read_status(Output(output))
    _print(found.as_dict(), json)
    return 0 if found.done == found.planned else 1


def report(
    output: Positional[str],
    sample: Annotated[
        int, arg(help="Most pairs shown; a larger run shows a random sample of so many.")
    ] = 2000,
) -> int:
    """Write report.html into the run at OUTPUT: a gallery of content, style and result."""
    from styleid_ray.batch.output import Output
    from styleid_ray.report import write_report

    print(write_report(Output(output), sample=sample))
    return 0


def demo(
    output: Annotated[
        str, arg(help="Folder for the demo's pictures, dataset and report.")
    ] = "out/demo",
) -> int:
    """Stylise a handful of drawn scenes with the embedded model: no GPU, no network."""
    from styleid_ray.demo import run_demo

    return run_demo(output)


def _print(counts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(counts))
        return
    width = max(map(len, counts))
    for name, value in counts.items():
        said = f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):<{width}}  {said}")


COMMANDS = {
    "demo": demo,
    "stylize": stylize,
    "plan": plan,
    "status": status,
    "report": report,
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # a retry that works is no news
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="styleid-ray",
            description="Stylise whole image datasets with StyleID, as a Ray Data batch job.",
            args=list(sys.argv[1:] if args is None else args),
            config=(OmitArgPrefixes,),
        )
    except StyleIDError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as e:
        print("stopped; the same command goes on from what is committed", file=sys.stderr)
        return 128 + (e.args[0] if e.args else signal.SIGINT)


def _terminate(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main())
