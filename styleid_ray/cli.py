"""The command `styleid-ray`.

Exit status: 0 when every pair is done, 1 when it ran but some failed, 2 when it could not run.
`verify` ends with 0 for a run that is sound and complete, 1 for a sound one, 2 for a damaged one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypedDict, get_args, get_origin

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from styleid_ray.analysis.options import OPTIONS as ANALYZED
from styleid_ray.batch.cluster.process import own_process
from styleid_ray.config import ExportFormat, JobConfig, StyleParams, changes, mix_ratio
from styleid_ray.errors import StyleIDError
from styleid_ray.jobfile import load_job_file, make_config, make_storage_options
from styleid_ray.preview.sweep import OPTIONS as PREVIEWED

_TEXT = {
    "layers": "6-11",
    "gamma": "NUMBER|SCHEDULE|RANGE|LIST",
    "temperature": "NUMBER|SCHEDULE|RANGE|LIST",
    "adain": "0..1",
    "actors": "MIN,MAX",
    "storage_options": "JSON",
    "annotations": "FILE,...",
    "splits": "NAME,...",
    "lora": "FILE[:WEIGHT],...",
}
"""Options that are written as one word, though they hold several values."""
_LISTS = {
    "method": "NAME,...",
    "preset": "NAME,...",
    "steps": "N,...",
    "gamma": "LIST|RANGE|SCHEDULE;...",
    "temperature": "LIST|RANGE|SCHEDULE;...",
    "adain": "SHARE,...",
    "low_frequency": "FACTOR,...",
    "detail": "SHARE,...",
}
"""Options that list values in a preview."""
_ONE_VALUE = dict.fromkeys(("gamma", "temperature"), "NUMBER|SCHEDULE")
"""Options that are not drawn in an analysis."""
_NOT_RESUMED = {"preview", "analyze", "evaluate"}
"""Commands that begin anew when they are run again."""


def _job_options(names: Iterable[str], text: Mapping[str, str] = _TEXT) -> Any:
    """These options of `JobConfig` as a TypedDict, so that only what was given is in it."""
    fields: dict[str, Any] = {}
    for name in names:
        field = JobConfig.model_fields[name]
        description = " ".join((field.description or "").split())
        none = field.is_required() or field.default in (None, ())
        default = "" if none else f" [default: {field.default}]"
        kind = str if name in text else _without_none(field.annotation)
        metavar = text.get(name)
        fields[name] = Annotated[
            kind, arg(help=description + default, metavar=metavar, help_behavior_hint="")
        ]
    return TypedDict("JobOptions", fields, total=False)  # pyright: ignore[reportArgumentType]


def _without_none(kind: Any) -> Any:
    kinds = [one for one in get_args(kind) if one is not type(None)]
    return kinds[0] if get_origin(kind) is UnionType and len(kinds) == 1 else kind


JobOptions = _job_options(JobConfig.model_fields)
# Options that change nothing of a run, the place of its model, and parameters for pairs that are
# made again; not what begins or extends one.
RetryOptions = _job_options(
    name
    for name in JobConfig.model_fields
    if (changes(name) == "nothing" or name in ("model", "vae", "lora", *StyleParams.model_fields))
    and name not in ("output", "extend")
)
# The job server has an address of its own, and shows the command line to all who reach it.
SubmitOptions = _job_options(
    name for name in JobConfig.model_fields if name not in ("address", "storage_options")
)
PreviewOptions = _job_options(PREVIEWED, _TEXT | _LISTS)
AnalyzeOptions = _job_options(ANALYZED, _TEXT | _ONE_VALUE)
_Options = Annotated[JobOptions, arg(name="")]
_SubmitOptions = Annotated[SubmitOptions, arg(name="")]
_RetryOptions = Annotated[RetryOptions, arg(name="")]
_PreviewOptions = Annotated[PreviewOptions, arg(name="")]
_AnalyzeOptions = Annotated[AnalyzeOptions, arg(name="")]
_StorageOptions = Annotated[
    str | None,
    arg(
        metavar="JSON",
        help=" ".join((JobConfig.model_fields["storage_options"].description or "").split()),
        help_behavior_hint="",
    ),
]
_Reject = Annotated[
    str | None,
    arg(
        metavar="RULE",
        help="Rule on the quality columns, such as 'structure<0.4 or blank>0.9', in place of the "
        "run's own.",
        help_behavior_hint="",
    ),
]
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
    with own_process():
        from styleid_ray.batch.run import stylize as run

        return run(_config(config, options)).exit_status


def plan(
    options: _Options,
    config: _ConfigFile = None,
    rate: Annotated[
        float | None, arg(help="UNet evaluations per second of one actor, to estimate time.")
    ] = None,
    calibrate: Annotated[
        bool, arg(help="Measure that rate: load the model and run its UNet for 20 seconds.")
    ] = False,
    price: Annotated[
        float | None, arg(help="Price per GPU hour, with --rate or --calibrate.")
    ] = None,
    save_pairs: Annotated[
        str | None,
        arg(
            metavar="FILE",
            help="Write the pairs to this file, to read, edit and pass back with --pairing table "
            "--table FILE: .json {content: [style, ...]}, .csv, .jsonl or .parquet.",
        ),
    ] = None,
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
) -> int:
    """Estimate the cost of a job: UNet evaluations, bytes, memory, time. Stylises nothing.

    With --save-pairs, also write the job's pairs to a file.
    """
    from styleid_ray.batch.forecast import forecast

    cost = forecast(_config(config, options), rate, calibrate, price, save_pairs)
    _print(cost.as_dict() if json else cost.as_text(), json)
    return 0


def preview(
    options: _PreviewOptions,
    output: Annotated[
        str,
        arg(
            metavar="FILE.png|DIR",
            help="File of the grid, with the page beside it as FILE.html; or the folder or URL of "
            "preview.png and preview.html.",
        ),
    ],
    pairs: Annotated[
        int, arg(help="Most pairs, 1 to 24, spread over the listings or the pairs of --pairing.")
    ] = 4,
    cell: Annotated[
        int, arg(help="Longest side of a picture in the grid, 32 to 512 pixels.")
    ] = 256,
) -> int:
    """Make a few pairs with every combination of some values and show them in one labelled grid.

    Lists such as 0.3,0.6 go with --preset, --steps, --gamma, --temperature, --adain, --detail
    and --low-frequency. With --gamma and --temperature, ';' separates schedules, and a range stands
    for its ends and its middle.
    Runs in this process, without Ray, on the GPU where there is one.
    Exit status: 0; 1 when a picture was left out or failed.
    Example: styleid-ray preview --content photos/ --style paintings/ --output out/gamma.png
    """
    from styleid_ray.preview.write import write_preview

    made = write_preview({**options, "output": output}, pairs, cell)
    print(f"{made.picture}\n{made.page}\n{made.summary}")
    return made.exit_status


def analyze(
    options: _AnalyzeOptions,
    output: Annotated[
        str, arg(metavar="DIR", help="Folder or URL of the figures, analysis.json and index.html.")
    ],
    patch: Annotated[
        str,
        arg(
            metavar="X,Y",
            help="Point of the content whose query is compared with the style's keys: fractions "
            "of its width and height from the upper left corner.",
        ),
    ] = "0.5,0.5",
) -> int:
    """Show how the method works on one pair: maps of its queries, the spread of its attention,
    colours with and without AdaIN, and ablations.

    Takes the first picture of --content and of --style; each may be a single file.
    Runs in this process, without Ray, on the GPU where there is one: 445 UNet evaluations with the
    paper's 50 steps.
    Example: styleid-ray analyze --content photo.png --style painting.png --output out/analysis
    """
    from styleid_ray.analysis.write import write_analysis

    written = write_analysis({**options, "output": output}, patch)
    print(f"{written.page}\n{written.summary}")
    return 0


def submit(
    options: _SubmitOptions,
    config: _ConfigFile = None,
    address: Annotated[
        str | None,
        arg(
            metavar="URL",
            help="The job server, which is the cluster's dashboard; default: "
            "RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265.",
            help_behavior_hint="",
        ),
    ] = None,
    working_dir: Annotated[
        str, arg(metavar="DIR", help="Folder sent to the cluster, without what git ignores.")
    ] = ".",
    wait: Annotated[
        bool, arg(help="Show what the job prints and wait for its end; Ctrl-C stops it.")
    ] = True,
) -> int:
    """Run stylize on a cluster, with the options given.

    Exit status: that of stylize. To resume after a stop, submit again.
    """
    from styleid_ray.submit import stylize_command
    from styleid_ray.submit import submit as run

    command = stylize_command(_config(config, options), config, options, working_dir)
    return run(command, address, working_dir, wait)


def retry(
    output: Positional[str],
    options: _RetryOptions,
    rejected: Annotated[
        bool,
        arg(
            help="Instead, make the pairs again that the run's --reject rejects, with the "
            "parameters given here (--gamma, --temperature, --detail ...); their rows are replaced."
        ),
    ] = False,
) -> int:
    """Try the failed pairs of the run at OUTPUT again, with the options that it was begun with.

    Exit status as that of stylize.
    Example: styleid-ray retry out/run --rejected --gamma 0.85
    """
    with own_process():
        from styleid_ray.batch.folder.stored import stored_job
        from styleid_ray.batch.remake import split_options
        from styleid_ray.batch.run import remake
        from styleid_ray.batch.run import retry as run

        others, parameters = split_options(options, rejected)
        config = stored_job(output, others)
        return (remake(config, parameters) if rejected else run(config)).exit_status


def verify(
    output: Positional[str],
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
    repair: Annotated[
        bool, arg(help="Remove damaged shard files, so that stylize makes their pairs again.")
    ] = False,
    storage_options: _StorageOptions = None,
) -> int:
    """Read the run at OUTPUT back: every planned pair once, every shard and picture whole.

    Exit status: 0 sound and complete; 1 sound, but pairs are missing or failed; 2 damaged, or no
    run there.
    """
    from styleid_ray.batch.folder.output import Output
    from styleid_ray.batch.folder.verify import repair as remove
    from styleid_ray.batch.folder.verify import verify as read_back

    run = Output(output, make_storage_options(storage_options))
    verification = read_back(run)
    if json:
        _print(verification.as_dict(), json)
    else:
        _print(verification.counts, json)
        print(*verification.remarks, sep="\n")
    if repair:
        for name in remove(run, verification):
            print(f"removed {name}", file=sys.stderr)
    return verification.exit_status


def status(
    output: Positional[str],
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
    watch: Annotated[
        bool, arg(help="Show its progress until every pair is finished, or Ctrl-C.")
    ] = False,
    quality: Annotated[
        bool,
        arg(
            help="Show how the quality columns are spread, and how many pairs the run's --reject "
            "rejects; reads a column of every shard."
        ),
    ] = False,
    reject: _Reject = None,
    storage_options: _StorageOptions = None,
) -> int:
    """Show how far the run at OUTPUT is and why pairs failed, by its files alone: from any machine.

    Exit status: 0 when every pair is done, else 1; 2 when there is no run, or a rule is no rule.
    """
    from styleid_ray.batch.folder.output import Output
    from styleid_ray.batch.folder.status import read_status, watch_status, with_quality

    run = Output(output, make_storage_options(storage_options))
    current = watch_status(run, sys.stderr) if watch else read_status(run)
    if quality or reject is not None:
        current = with_quality(current, run, reject)
    if json:
        _print(current.as_dict(), json)
    else:
        _print(current.counts, json)
        remarks = current.remarks(run.url)
        print(*remarks, sep="\n", end="\n" * bool(remarks))
    return 0 if current.done == current.planned else 1


def report(
    output: Positional[str],
    sample: Annotated[
        int, arg(help="Most pairs shown; a larger run shows a random sample of so many.")
    ] = 2000,
    to: Annotated[
        str | None,
        arg(
            metavar="FILE",
            help="File or URL of the page, for a run that you may only read; default: report.html "
            "in the run.",
            help_behavior_hint="",
        ),
    ] = None,
    storage_options: _StorageOptions = None,
) -> int:
    """Write report.html into the run at OUTPUT: a gallery of content, style and result."""
    from styleid_ray.batch.folder.output import Output
    from styleid_ray.report import write_report

    run = Output(output, make_storage_options(storage_options))
    print(write_report(run, sample=sample, to=to))
    return 0


def export(
    output: Positional[Annotated[str, arg(metavar="RUN", help="Folder or URL of the run.")]],
    to: Annotated[str, arg(metavar="URL", help="Folder or URL of the dataset to write.")],
    format: Annotated[
        ExportFormat,
        arg(
            help="imagefolder, webdataset and parquet take labels from any dataset; coco, voc and "
            "yolo only from their own format."
        ),
    ],
    mix: Annotated[
        str | None,
        arg(
            metavar="K:1",
            help="Add one original per K stylised pictures, each at most once; they have "
            "original = true.",
        ),
    ] = None,
    push_to: Annotated[
        str | None,
        arg(
            metavar="OWNER/NAME",
            help="Upload the export to this dataset on the Hugging Face hub; --to must then be a "
            "local folder.",
        ),
    ] = None,
    private: Annotated[bool, arg(help="With --push-to: create a new dataset as private.")] = False,
    reject: _Reject = None,
    mark_rejected: Annotated[
        bool,
        arg(help="Keep the pairs that the rule rejects, with true in a column rejected."),
    ] = False,
    address: Annotated[
        str | None,
        arg(help=JobConfig.model_fields["address"].description or "", help_behavior_hint=""),
    ] = None,
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
    storage_options: _StorageOptions = None,
) -> int:
    """Write a run as a dataset: its pictures with the labels of their contents.

    Works on unfinished runs too and needs no GPU. Run it again to resume, or to add newly finished
    pairs.
    Example: styleid-ray export out/run --to out/coco --format coco
    """
    with own_process():
        from styleid_ray.batch.export.job import export as run
        from styleid_ray.batch.export.outcome import ExportOptions

        options = ExportOptions(
            output,
            to,
            format,
            mix_ratio(mix),
            push_to,
            private,
            address,
            reject,
            mark_rejected,
            make_storage_options(storage_options),
        )
        result = run(options)
    if json:
        _print(result.as_dict(), json)
    else:
        print(*result.lines(), sep="\n")
    return 0


def evaluate(
    output: Positional[
        Annotated[str | None, arg(metavar="RUN", help="Folder or URL of a run.")]
    ] = None,
    stylized: Annotated[
        str | None,
        arg(
            metavar="URL",
            help="In place of a run: folder of pictures of any method, named "
            "CONTENT_stylized_STYLE.png, with --content and --style.",
            help_behavior_hint="",
        ),
    ] = None,
    content: Annotated[
        str | None,
        arg(
            metavar="URL",
            help="Folder of the contents; of a run only where they have moved.",
            help_behavior_hint="",
        ),
    ] = None,
    style: Annotated[
        str | None,
        arg(
            metavar="URL",
            help="Folder of the styles; of a run only where they have moved.",
            help_behavior_hint="",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        arg(
            metavar="DIR",
            help="Folder with art_inception, alexnet and vgg19, each .safetensors or .pth; "
            "default: download them once.",
            help_behavior_hint="",
        ),
    ] = None,
    to: Annotated[
        str | None,
        arg(
            metavar="URL",
            help="Where evaluation/summary.json and evaluation/pairs.parquet go; default: the run.",
            help_behavior_hint="",
        ),
    ] = None,
    address: Annotated[
        str | None,
        arg(help=JobConfig.model_fields["address"].description or "", help_behavior_hint=""),
    ] = None,
    json: Annotated[bool, arg(name="json", help="Print JSON.")] = False,
    storage_options: _StorageOptions = None,
) -> int:
    """Compute FID, LPIPS, ArtFID, CFSD and the histogram loss as the paper does, on Ray.

    Exit status: 0; 1 when a metric is missing or a picture could not be read.
    Example: styleid-ray evaluate out/run
    """
    with own_process():
        from styleid_ray.evaluation.evaluate import EvaluateOptions
        from styleid_ray.evaluation.evaluate import evaluate as run

        result = run(
            EvaluateOptions(
                output,
                stylized,
                content,
                style,
                weights,
                to,
                address,
                make_storage_options(storage_options),
            )
        )
    print(result.as_json() if json else "\n".join(result.lines()))
    return result.exit_status


def demo(
    output: Annotated[
        str, arg(help="Folder for the demo's pictures, dataset and report.")
    ] = "out/demo",
) -> int:
    """Stylise a handful of drawn scenes with the embedded model: no GPU, no network."""
    with own_process():
        from styleid_ray.demo import run_demo

        return run_demo(output)


def _print(counts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(counts))
        return
    width = max(map(len, counts))
    for name, value in counts.items():
        text = f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):<{width}}  {text}")


COMMANDS = {
    "demo": demo,
    "stylize": stylize,
    "submit": submit,
    "retry": retry,
    "verify": verify,
    "plan": plan,
    "preview": preview,
    "analyze": analyze,
    "status": status,
    "evaluate": evaluate,
    "report": report,
    "export": export,
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    signal.signal(signal.SIGTERM, _terminate)
    words = list(sys.argv[1:] if args is None else args)
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="styleid-ray",
            description="Stylise whole image datasets with StyleID, as a Ray Data batch job.",
            args=words,
            config=(OmitArgPrefixes,),
        )
    except StyleIDError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as e:
        hint = "" if {*words[:1]} & _NOT_RESUMED else "; run the same command again to resume"
        print(f"stopped{hint}", file=sys.stderr)
        return 128 + (e.args[0] if e.args else signal.SIGINT)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as e:
        from styleid_ray.unexpected import unexpected

        print(f"error: {unexpected(e)}", file=sys.stderr)
        return 2


def _terminate(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main())
