"""The command `styleid-ray`. Its main flow, from a job to committed shards, is in `batch.run`.

Exit status: 0 when every pair is done, 1 when some failed or a limit stopped the run, 2 when it
could not run.
`verify` ends with 0 for a run that is sound and complete, 1 for a sound one, 2 for a damaged one.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import tyro
from tyro.conf import OmitArgPrefixes

from styleid_ray import __version__
from styleid_ray.batch.cluster.process import own_process
from styleid_ray.commandline import offered
from styleid_ray.commandline.arguments import (
    AnalysisOutput,
    AsJson,
    Calibrate,
    Cell,
    ConfigFile,
    DemoOutput,
    Patch,
    PreviewOutput,
    PreviewPairs,
    Price,
    Rate,
    Rejected,
    Run,
    SavePairs,
    Server,
    Wait,
    WorkingDir,
)
from styleid_ray.commandline.parse import Command, command_of, parse, takes_options
from styleid_ray.commandline.results import evaluate, export, print_counts, report, status, verify
from styleid_ray.config import JobConfig
from styleid_ray.errors import StyleIDError
from styleid_ray.jobfile import load_job_file, make_config

_HELP = ("-h", "--help", "--help-all")
_NOWHERE = "memory://nowhere"
"""Output of a plan that names none: nothing is written."""
_NOT_RESUMED = {"preview", "analyze", "evaluate"}
"""Commands that begin anew when they are run again."""


def _config(config: str | None, options: dict[str, Any]) -> JobConfig:
    return make_config({**(load_job_file(config) if config else {}), **options})


def stylize(options: offered.Job, config: ConfigFile = None) -> int:
    """Stylise a dataset: every pair of contents and styles, on Ray. Running again resumes.

    Example: styleid-ray stylize --content photos/ --style paintings/ --output out/run
    """
    with own_process():
        from styleid_ray.batch.run import stylize as run

        return run(_config(config, options)).exit_status


def plan(
    options: offered.Job,
    config: ConfigFile = None,
    rate: Rate = None,
    calibrate: Calibrate = False,
    price: Price = None,
    save_pairs: SavePairs = None,
    json: AsJson = False,
) -> int:
    """Estimate the cost of a job: UNet evaluations, bytes, memory, time. Stylises nothing.

    With --save-pairs, also write the job's pairs to a file.
    """
    from styleid_ray.batch.forecast import forecast

    job = make_config({"output": _NOWHERE, **(load_job_file(config) if config else {}), **options})
    cost = forecast(job, rate, calibrate, price, save_pairs)
    print_counts(cost.as_dict() if json else cost.as_text(), json)
    return 0


def preview(
    options: offered.Preview,
    output: PreviewOutput,
    pairs: PreviewPairs = 4,
    cell: Cell = 256,
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


def analyze(options: offered.Analyze, output: AnalysisOutput, patch: Patch = "0.5,0.5") -> int:
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
    options: offered.Submit,
    config: ConfigFile = None,
    address: Server = None,
    working_dir: WorkingDir = ".",
    wait: Wait = True,
) -> int:
    """Run stylize on a cluster, with the options given.

    Exit status: that of stylize. To resume after a stop, submit again.
    """
    from styleid_ray.submit import stylize_command
    from styleid_ray.submit import submit as run

    command = stylize_command(_config(config, options), config, options, working_dir)
    return run(command, address, working_dir, wait)


def retry(output: Run, options: offered.Retry, rejected: Rejected = False) -> int:
    """Try the failed pairs of the run again, with the options that it was begun with.

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


def demo(output: DemoOutput = "out/demo") -> int:
    """Stylise a handful of drawn scenes with the embedded model: no GPU, no network."""
    with own_process():
        from styleid_ray.demo import run_demo

        return run_demo(output)


COMMANDS: dict[str, Command] = {
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
        status = _run(words)
        sys.stdout.flush()
        return status
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


def _run(words: list[str]) -> int:
    words = [*words[1:], "--help"] if words[:1] == ["help"] else words
    helps = [word for word in words if word in _HELP]
    if words[:1] == ["--version"]:
        print(f"styleid-ray {__version__}")
    elif words[:1] and words[0].startswith("--tyro-"):  # shell completion
        _show_list(words, COMMANDS)
    elif helps and words[0].startswith("-"):
        _show_list(["--help"], {name: _summary_of(run) for name, run in COMMANDS.items()})
    elif helps:
        _show_help(words[0], everything="--help-all" in helps)
    else:
        return parse(words, COMMANDS)()
    return 0


def _show_help(name: str, everything: bool) -> None:
    command = command_of([name], COMMANDS)
    with suppress(SystemExit):
        tyro.cli(
            command,
            prog=f"styleid-ray {name}",
            args=["--help"],
            config=(OmitArgPrefixes,),
            registry=offered.registry(everything),
        )
    if not everything and takes_options(command):
        print(f"More options: styleid-ray {name} --help-all")


def _show_list(words: Sequence[str], commands: Mapping[str, Command]) -> None:
    with suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(
            dict(commands),
            prog="styleid-ray",
            description="Stylise whole image datasets with StyleID, as a Ray Data batch job. "
            "styleid-ray COMMAND --help explains a command, --version prints the version.",
            args=words,
            config=(OmitArgPrefixes,),
            registry=offered.registry(),
        )


def _summary_of(command: Command) -> Command:
    """A command with the first paragraph of its docstring alone."""

    def summary() -> int:
        return 0

    summary.__doc__ = (command.__doc__ or "").partition("\n\n")[0]
    return summary


def _terminate(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main())
