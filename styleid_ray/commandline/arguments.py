"""Types of the commands' own arguments, with their help texts; a job's options are in `offered`."""

from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from styleid_ray.config import ExportFormat, JobConfig


def _arg(help: str, metavar: str | None = None) -> Any:
    """Help without a default, which a text names where it matters."""
    return arg(help=help, metavar=metavar, help_behavior_hint="")


def _described(option: str) -> str:
    return " ".join((JobConfig.model_fields[option].description or "").split())


Flag = Annotated[bool, FlagCreatePairsOff]
"""Without a --no- form."""

Run = Annotated[str, Positional, _arg("Folder or URL of the run.", "RUN")]
RunOrNone = Annotated[str | None, Positional, _arg("Folder or URL of a run.", "RUN")]
AsJson = Annotated[Flag, _arg("Print JSON.")]
ConfigFile = Annotated[
    str | None, _arg("YAML job file; options given here override its keys.", "FILE")
]
StorageOptions = Annotated[str | None, _arg(_described("storage_options"), "JSON")]
Address = Annotated[str | None, _arg(_described("address"), "HOST:PORT")]
Reject = Annotated[
    str | None,
    _arg(
        "Rule on the quality columns, such as 'structure<0.4 or blank>0.9', in place of the "
        "run's own.",
        "RULE",
    ),
]

# plan
Rate = Annotated[
    str | None,
    _arg(
        "UNet evaluations per second per actor, to estimate time; or a run, such as a pilot made "
        "with --limit, that measured it: its folder or its summary.json.",
        "RATE|RUN",
    ),
]
Calibrate = Annotated[
    Flag, _arg("Measure that rate: load the model and run its UNet for 20 seconds.")
]
Price = Annotated[float | None, _arg("Price per GPU hour, with --rate or --calibrate.", "NUMBER")]
SavePairs = Annotated[
    str | None,
    _arg(
        "Write the pairs to this file, to read, edit and pass back with --pairing table --table "
        "FILE: .json {content: [style, ...]}, .csv, .jsonl or .parquet.",
        "FILE",
    ),
]

# preview, analyze, demo
PreviewOutput = Annotated[
    str,
    _arg(
        "File of the grid, with the page beside it as FILE.html; or the folder or URL of "
        "preview.png and preview.html.",
        "FILE.png|DIR",
    ),
]
PreviewPairs = Annotated[
    int,
    arg(
        help="Most pairs, 1 to 24, spread over the listings or the pairs of --pairing.",
        metavar="N",
    ),
]
Cell = Annotated[
    int, arg(help="Longest side of a picture in the grid, 32 to 512 pixels.", metavar="N")
]
AnalysisOutput = Annotated[
    str, _arg("Folder or URL of the figures, analysis.json and index.html.", "DIR")
]
Patch = Annotated[
    str,
    arg(
        help="Point of the content whose query is compared with the style's keys: fractions of its "
        "width and height from the upper left corner.",
        metavar="X,Y",
    ),
]
DemoOutput = Annotated[
    str, arg(help="Folder for the demo's pictures, dataset and report.", metavar="DIR")
]

# submit
Server = Annotated[
    str | None,
    _arg(
        "The job server, which is the cluster's dashboard; default: RAY_API_SERVER_ADDRESS, else "
        "http://127.0.0.1:8265.",
        "URL",
    ),
]
WorkingDir = Annotated[
    str, arg(help="Folder sent to the cluster, without what git ignores.", metavar="DIR")
]
Wait = Annotated[
    bool,
    _arg(
        "Show what the job prints and wait for its end; Ctrl-C stops it. --no-wait returns at once."
    ),
]

# retry, verify, status
Rejected = Annotated[
    Flag,
    _arg(
        "Remake the pairs that the run's --reject rejects, with the parameters given here "
        "(--gamma, --temperature, --detail ...), and replace their rows."
    ),
]
Repair = Annotated[
    Flag, _arg("Remove damaged shard files, so that stylize makes their pairs again.")
]
WatchProgress = Annotated[Flag, _arg("Show its progress until every pair is finished, or Ctrl-C.")]
Quality = Annotated[
    Flag,
    _arg(
        "Show how the quality columns are spread, and how many pairs the run's --reject rejects; "
        "reads a column of every shard."
    ),
]

# report, export, evaluate
Sample = Annotated[
    int, arg(help="Most pairs on the page; a larger run shows a random sample of N.", metavar="N")
]
Page = Annotated[
    str | None,
    _arg(
        "File or URL of the page, for a run that you may only read; default: report.html in the "
        "run.",
        "FILE",
    ),
]
WatchPage = Annotated[
    Flag,
    _arg(
        "Serve the page on 127.0.0.1 instead, rebuilt as shards are committed, until Ctrl-C. "
        "Writes nothing."
    ),
]
Port = Annotated[
    int | None, _arg("With --watch: port of the page, 8000 by default; 0 takes any free one.", "N")
]
ExportTo = Annotated[str, _arg("Folder or URL of the dataset to write.", "URL")]
ExportAs = Annotated[
    ExportFormat,
    _arg(
        "imagefolder, webdataset and parquet take labels from any dataset; coco, voc and yolo only "
        "from their own format."
    ),
]
Mix = Annotated[
    str | None,
    _arg(
        "Add one original per K stylised pictures, each at most once; they have original = true.",
        "K:1",
    ),
]
PushTo = Annotated[
    str | None,
    _arg(
        "Upload the export to this dataset on the Hugging Face hub; --to must then be a local "
        "folder.",
        "OWNER/NAME",
    ),
]
Private = Annotated[Flag, _arg("With --push-to: create a new dataset as private.")]
MarkRejected = Annotated[
    Flag, _arg("Keep the pairs that the rule rejects, with true in a column rejected.")
]
Stylized = Annotated[
    str | None,
    _arg(
        "In place of a run: folder of pictures of any method, named CONTENT_stylized_STYLE.png, "
        "with --content and --style.",
        "URL",
    ),
]
Contents = Annotated[
    str | None, _arg("Folder of the contents; with a run, needed only if they have moved.", "URL")
]
Styles = Annotated[
    str | None, _arg("Folder of the styles; with a run, needed only if they have moved.", "URL")
]
Weights = Annotated[
    str | None,
    _arg(
        "Folder with art_inception, alexnet and vgg19, each .safetensors or .pth; default: "
        "download them once.",
        "DIR",
    ),
]
EvaluateTo = Annotated[
    str | None,
    _arg("Where evaluation/summary.json and evaluation/pairs.parquet go; default: the run.", "URL"),
]
