"""Commands on the results of a run."""

import json
import sys
from typing import Any

from styleid_ray.batch.cluster.process import own_process
from styleid_ray.commandline.arguments import (
    Address,
    AsJson,
    Contents,
    EvaluateTo,
    ExportAs,
    ExportTo,
    MarkRejected,
    Mix,
    Page,
    Port,
    Private,
    PushTo,
    Quality,
    Reject,
    Repair,
    Run,
    RunOrNone,
    Sample,
    StorageOptions,
    Styles,
    Stylized,
    WatchPage,
    WatchProgress,
    Weights,
)
from styleid_ray.config import mix_ratio
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_storage_options
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import without_secrets


def verify(
    output: Run,
    json: AsJson = False,
    repair: Repair = False,
    storage_options: StorageOptions = None,
) -> int:
    """Read the run back: every planned pair once, every shard and picture whole.

    Exit status: 0 sound and complete; 1 sound, but pairs are missing or failed; 2 damaged, or no
    run there.
    """
    from styleid_ray.batch.folder.output import Output
    from styleid_ray.batch.folder.verify import repair as remove
    from styleid_ray.batch.folder.verify import verify as read_back

    run = Output(output, make_storage_options(storage_options))
    verification = read_back(run)
    if repair:
        for name in remove(run, verification):
            print(f"removed {name}", file=sys.stderr)
    if json:
        print_counts(verification.as_dict(), json)
    else:
        print_counts(verification.counts, json)
        print(*verification.remarks(repair), sep="\n")
    return verification.exit_status


def status(
    output: Run,
    json: AsJson = False,
    watch: WatchProgress = False,
    quality: Quality = False,
    reject: Reject = None,
    storage_options: StorageOptions = None,
) -> int:
    """Show how far the run is and why pairs failed, by its files alone: from any machine.

    The fingerprint stands for the model and every option that changes the output. Unplanned counts
    files in data/ whose shard is not in the plan; verify names them.

    Exit status: 0 when every pair is done, else 1; 2 when there is no run, or --reject is not a
    valid rule.
    """
    from styleid_ray.batch.folder.output import Output
    from styleid_ray.batch.folder.status import read_status, watch_status, with_quality

    run = Output(output, make_storage_options(storage_options))
    current = watch_status(run, sys.stderr) if watch else read_status(run)
    if quality or reject is not None:
        current = with_quality(current, run, reject)
    if json:
        print_counts(current.as_dict(), json)
    else:
        print_counts(current.counts, json)
        remarks = current.remarks(run.url)
        print(*remarks, sep="\n", end="\n" * bool(remarks))
    return 0 if current.done == current.planned else 1


def report(
    output: Run,
    sample: Sample = 2000,
    to: Page = None,
    watch: WatchPage = False,
    port: Port = None,
    storage_options: StorageOptions = None,
) -> int:
    """Write report.html into the run: a gallery of content, style and result."""
    from styleid_ray.batch.folder.output import Output

    if sample < 1:
        raise ConfigError(f"--sample {sample}: must be 1 or more")
    if watch and to is not None:
        raise ConfigError("--to has no effect with --watch, which writes nothing: leave it out")
    if port is not None and not watch:
        raise ConfigError("--port has no effect without --watch: leave it out")
    run = Output(output, make_storage_options(storage_options))
    if watch:
        from styleid_ray.report.serve import serve_report

        return serve_report(run, 8000 if port is None else port, sample)
    from styleid_ray.report import write_report

    print(write_report(run, sample=sample, to=to))
    return 0


def export(
    output: Run,
    to: ExportTo,
    format: ExportAs,
    mix: Mix = None,
    push_to: PushTo = None,
    private: Private = False,
    reject: Reject = None,
    mark_rejected: MarkRejected = False,
    address: Address = None,
    json: AsJson = False,
    storage_options: StorageOptions = None,
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
        print_counts(result.as_dict(), json)
    else:
        print(*result.lines(mixed=mix is not None), sep="\n")
    return 0


def evaluate(
    output: RunOrNone = None,
    stylized: Stylized = None,
    content: Contents = None,
    style: Styles = None,
    weights: Weights = None,
    to: EvaluateTo = None,
    address: Address = None,
    json: AsJson = False,
    storage_options: StorageOptions = None,
) -> int:
    """Compute FID, LPIPS, ArtFID, CFSD and the histogram loss as the paper does, on Ray.

    Exit status: 0; 1 when a metric is missing or a picture could not be read.

    Example: styleid-ray evaluate out/run
    """
    with own_process():
        from styleid_ray.evaluation.evaluate import evaluate as run

        result = run(
            output,
            stylized,
            content,
            style,
            weights=weights,
            to=to,
            address=address,
            storage_options=make_storage_options(storage_options),
        )
    lines = result.lines()
    if output and not to:
        lines.append(f"styleid-ray report {shown(without_secrets(output))} shows them")
    print(result.as_json() if json else "\n".join(lines))
    return result.exit_status


def print_counts(counts: dict[str, Any], as_json: bool) -> None:
    """Prints names and values, one pair per line, or as one JSON object."""
    if as_json:
        print(json.dumps(counts))
        return
    width = max(map(len, counts))
    for name, value in counts.items():
        text = f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):<{width}}  {text}")
