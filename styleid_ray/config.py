"""Every option, defined once.

The command line, job files, the table in the README and a run's stored `config.yaml` are all read
off these models. Unknown keys are refused, instances are frozen.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from styleid_ray.controls import Range, Schedule, Sweep, numbers, parse, schedule
from styleid_ray.errors import ConfigError
from styleid_ray.quality.rule import parse_rule

Method = Literal["styleid", "adain", "reinhard", "mkl", "latent-adain"]
PIXEL_METHODS: tuple[Method, ...] = ("adain", "reinhard", "mkl")
"""Methods that need no model."""
Preset = Literal["paper", "scheduled", "diffusers"]
Pairing = Literal["cross", "zip", "random", "balanced", "by-class", "nearest", "farthest", "table"]
DRAWING: tuple[Pairing, ...] = ("random", "balanced", "by-class", "nearest", "farthest")
"""Pairings that take `styles_per_content` styles for each content."""
StyleClasses = Literal["same", "other"]
Fit = Literal["keep", "crop"]
DType = Literal["auto", "float32", "float16", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
FeatureStore = Literal["auto", "device", "host"]
Compile = Literal["auto", "on", "off"]
FeatureDType = Literal["auto", "float32", "float16", "bfloat16", "int8"]
OutputFormat = Literal["parquet", "files"]
PictureFormat = Literal["png", "jpeg", "webp"]
DatasetFormat = Literal["auto", "folder", "coco", "voc", "yolo", "parquet", "webdataset"]
StyleFormat = Literal["auto", "folder", "parquet", "webdataset"]
ExportFormat = Literal["imagefolder", "coco", "voc", "yolo", "webdataset", "parquet"]

Changes = Literal["picture", "pairs", "encoding", "nothing"]


@dataclass(frozen=True)
class Tag:
    """What an option changes: the picture of a pair, which pairs there are, how a picture is
    computed and stored, or nothing of the output."""

    changes: Changes


_PICTURE, _PAIRS, _ENCODING, _NOTHING = map(Tag, get_args(Changes))

PAPER_MODEL = "CompVis/stable-diffusion-v1-4"
DEMO_MODEL = "demo"
PAPER_SIZE = 512
"""Working size of the paper in pixels."""
# Far above any model's; a range of layers is written out before it is checked.
_LAYERS = 1000

_PRESETS: dict[Preset, dict[str, Any]] = {
    "paper": {"steps": 50, "gamma": 0.75, "temperature": 1.5, "layers": (6, 7, 8, 9, 10, 11)},
    "diffusers": {"steps": 20, "gamma": 0.75, "temperature": 1.5, "layers": (7, 8, 9, 10, 11)},
}
_PRESETS["scheduled"] = _PRESETS["paper"] | {"gamma": "cosine:0.75:0.375"}
_BOUNDS = {"gamma": (0.0, 1.0, False), "temperature": (0.0, 10.0, True)}
"""Least and most, and whether the least itself is excluded."""


class _Options(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may be a password; jobfile says what may be said
    )


class StyleParams(_Options):
    """The parameters of StyleID. What is None takes the preset's own value."""

    preset: Annotated[Preset, _PICTURE] = "paper"
    """Step schedule and defaults: the paper's (50 steps, layers 6-11); scheduled, the same with
    gamma falling from 0.75 to 0.375; or those of the authors' diffusers port (20 steps, layers
    7-11)."""
    steps: Annotated[Annotated[int, Field(ge=2, le=500)] | None, _PICTURE] = None
    """DDIM steps of inversion and of sampling, 2 to 500."""
    gamma: Annotated[float | str | None, _PICTURE] = None
    """Query preservation: 1 keeps the content's queries (layout), 0 the stylised ones (style). A
    number; a schedule over the sampling steps, linear:0.9:0.5 or cosine:0.75:0.375; either per
    layer, 6-8=0.9,9-11=0.5; a range to draw from per pair, 0.5..0.9; or a list, 0.3,0.6, which
    gives one variant per value."""
    temperature: Annotated[float | str | None, _PICTURE] = None
    """Attention temperature: factor on the attention logits, above 1 sharpens. Written as
    --gamma."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0, lt=_LAYERS)], ...] | None, _PICTURE] = None
    """Decoder self-attention layers that get the style's keys and values, as 6-11 or 6,7,8. Stable
    Diffusion 1.x and 2.x have 3-11; XL has 0-35, by default 30-35."""
    adain: Annotated[bool | float, _PICTURE] = True
    """Share, 0 to 1, of the style's channel statistics in the initial latent (AdaIN): 1 or true
    takes all of them, 0 or false keeps the content's own."""
    low_frequency: Annotated[float, Field(ge=0, le=2), _PICTURE] = 1.0
    """Factor on the low frequencies of the content's inverted latent, before AdaIN (StyleSSP):
    below 1 favours the content's edges over its large shapes."""
    inject: Annotated[bool, _PICTURE] = True
    """Inject the style's keys and values into self-attention."""
    detail: Annotated[float, Field(ge=0, le=1), _PICTURE] = 0.0
    """Share of the content's fine detail to add back that the autoencoder loses (small objects,
    lettering): content minus its own reconstruction."""
    detail_luminance: Annotated[bool, _PICTURE] = False
    """With --detail: add back its luminance alone, so that the style keeps its colours."""

    @field_validator("gamma", "temperature", mode="before")
    @classmethod
    def _control(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        if isinstance(value, (list, tuple)):  # of a job file
            value = ",".join(map(str, value))
        if isinstance(value, (bool, dict)):
            raise ValueError('must be a number or a text such as "6-8=0.9,9-11=0.5"')
        try:
            control = parse(value)
        except (TypeError, ValueError) as e:
            raise ValueError(str(e)) from None
        low, high, above = _BOUNDS[info.field_name or ""]
        for number in numbers(control):
            if not low <= number <= high or (above and number == low):
                least = f"greater than {'' if above else 'or equal to '}{low:g}"
                raise ValueError(f"must be {least} and less than or equal to {high:g}")
        constant = control.constant if isinstance(control, Schedule) else None
        return str(control) if constant is None else constant

    @field_validator("adain", mode="before")
    @classmethod
    def _adain_strength(cls, value: Any) -> Any:
        words = {"true": True, "on": True, "false": False, "off": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        try:
            share = float(value)
        except (TypeError, ValueError):
            raise ValueError("must be a share from 0 to 1, true or false") from None
        if not 0 <= share <= 1:
            raise ValueError("must be a share from 0 to 1")
        return bool(share) if share in (0, 1) else share

    @field_validator("layers", mode="before")
    @classmethod
    def _layers_from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        layers: list[Any] = []
        for part in value.split(","):
            first, dash, last = part.strip().partition("-")
            if dash and first.isdecimal() and last.isdecimal():
                if int(last) >= _LAYERS:
                    raise ValueError(f"the largest layer must be below {_LAYERS}")
                layers += range(int(first), int(last) + 1)
            else:
                layers.append(part.strip())
        return layers

    @field_validator("layers")
    @classmethod
    def _layers_sorted_once(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if layers is None:
            return None
        if not layers:
            raise ValueError("name at least one layer, or switch injection off with inject=false")
        if len(set(layers)) != len(layers):
            raise ValueError(f"a layer is named twice: {list(layers)}")
        return tuple(sorted(layers))

    @property
    def named_layers(self) -> tuple[int, ...] | None:
        """Layers that have values of their own; None where there are none."""
        values = (self.gamma, self.temperature)
        controls = [schedule(value) for value in values if value is not None]
        named = {n for control in controls for group, _ in control.groups for n in group or ()}
        return tuple(sorted(named)) or None

    def resolved(self, layers: tuple[int, ...] | None = None) -> ResolvedParams:
        """The same parameters with the preset's values in place of None.

        Args:
            layers: in place of the preset's, of a model whose layers are others.

        Raises:
            ConfigError: γ or temperature is drawn per pair, or its schedule does not suit the
                layers or steps.
        """
        chosen = {k: v for k, v in self.model_dump().items() if v is not None}
        of_model = {"layers": layers} if layers else {}
        resolved = ResolvedParams(**{**_PRESETS[self.preset], **of_model, **chosen})
        if resolved.inject:
            for name in _BOUNDS:
                resolved.control(name)
        return resolved


class ResolvedParams(_Options):
    """`StyleParams` in which every value is set."""

    preset: Preset
    steps: int
    gamma: float | str
    temperature: float | str
    layers: tuple[int, ...]
    adain: bool | float
    low_frequency: float
    inject: bool
    detail: float
    detail_luminance: bool

    def control(self, name: str) -> Schedule:
        """γ or temperature as a schedule over layers and steps; raises ConfigError as
        `StyleParams.resolved`."""
        value = getattr(self, name)
        try:
            control = schedule(value)
            control.check(self.layers, self.sampling_evaluations)
        except ValueError as e:
            raise ConfigError(f"{name} {value}: {e}") from None
        return control

    @property
    def inversion_evaluations(self) -> int:
        """UNet evaluations that invert one picture."""
        return self.steps

    @property
    def sampling_evaluations(self) -> int:
        """UNet evaluations that sample one pair: the paper's schedule skips its first step."""
        return self.steps - 1 if self.paper_steps else self.steps

    @property
    def paper_steps(self) -> bool:
        """Whether the steps are those of the paper's code, not of its diffusers port."""
        return self.preset != "diffusers"

    @property
    def uses_style(self) -> bool:
        """Whether the style has any part in the result (it has none with both switches off)."""
        return bool(self.adain) or self.inject


class SourceOptions(_Options):
    """Where pictures come from and how they are paired."""

    content: Annotated[str | None, _NOTHING] = None
    """Folder, file or URL (anything fsspec opens) of the content dataset, walked recursively."""
    content_format: Annotated[DatasetFormat, _NOTHING] = "auto"
    """Dataset format of --content; auto recognises it by its files. Labels stay in place
    until `styleid-ray export` joins them to the results."""
    annotations: Annotated[tuple[str, ...], _NOTHING] = ()
    """Comma-separated COCO annotation files of --content; default: those in its annotations
    folder."""
    label_masks: Annotated[str | None, _NOTHING] = None
    """Folder or URL of label masks, one picture of class numbers per content, with the same
    relative name but ending in .png."""
    splits: Annotated[tuple[str, ...], _PAIRS] = ()
    """Comma-separated splits of --content to stylise; default: train if there is one, else all. No
    two splits share a style, except with --pairing zip."""
    share_styles: Annotated[bool, _PAIRS] = False
    """Let splits share styles instead of assigning each style to one split."""
    style: Annotated[str | None, _NOTHING] = None
    """Folder, file or URL of the style pictures, walked recursively."""
    style_format: Annotated[StyleFormat, _NOTHING] = "auto"
    """Dataset format of --style; auto recognises it by its files."""
    style_share: Annotated[str | None, _PAIRS] = None
    """Part of the styles to use, by a hash of their names: 0..0.8 holds a fifth of them out, and
    0.8..1 is that fifth, for a validation run."""
    style_weights: Annotated[str | None, _NOTHING] = None
    """CSV, JSONL or Parquet with columns style and weight, for --pairing random or balanced: a
    style of weight 2 is drawn twice as often, 0 never; default for styles that it lacks: 1."""
    pairing: Annotated[Pairing, _PAIRS] = "cross"
    """cross: every content with every style; zip: by order; table: the rows of --table. The others
    choose K styles per content: random; balanced: each style equally often; by-class: by class
    folders; nearest or farthest: by colour and texture."""
    table: Annotated[str | None, _NOTHING] = None
    """CSV, JSONL or Parquet for --pairing table: columns content and style (relative to --content
    and --style, or full URLs), optional gamma, temperature and k; style2 to style9 for several
    styles in one picture, and the weight of style2; mask, a name below --masks; other columns are
    passed through. Or a JSON file {content: [style, ...]}."""
    styles_per_content: Annotated[int, Field(ge=1), _PAIRS] = 1
    """K, the styles per content of the pairings that choose them."""
    variants: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, _PAIRS] = None
    """Versions of each pair, numbered k = 0, 1, ..., that differ in what --gamma and --temperature
    draw; default: one per combination of their lists."""
    style_classes: Annotated[StyleClasses, _PAIRS] = "same"
    """With --pairing by-class, whose classes are the pictures' folders: styles of the content's
    own class, or of any other."""
    class_column: Annotated[str | None, _PAIRS] = None
    """With --pairing by-class: column of --content's labels that names the class; default: its
    folder."""
    seed: Annotated[int, Field(ge=0), _PAIRS] = 0
    """Seed of everything that is drawn: styles, and values of a range."""
    reuse: Annotated[bool, _PAIRS] = False
    """With --pairing random and two or more styles per content: contents in random groups share the
    styles they draw from, so that shards invert fewer pictures."""
    masks: Annotated[str | None, _NOTHING] = None
    """Folder or URL of strength masks, one grey picture per content, of its upright size, with the
    same relative name but ending in .png: black keeps the content as the autoencoder gives it back
    (with --detail 1 as it is), white is stylised."""
    region_styles: Annotated[str | None, _PICTURE] = None
    """With --label-masks and --pairing table: classes (0 to 255) with a style of their own and the
    column that names it, such as 1=style2,7=style3; all others take the column style."""

    @field_validator("annotations", "splits", mode="before")
    @classmethod
    def _names_from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return () if value is None else value


class PictureOptions(_Options):
    """How pictures are brought to the model's size, and back."""

    size: Annotated[Annotated[int, Field(ge=64, le=4096)] | None, _PICTURE] = None
    """Working size in pixels: the side with --fit crop, the square root of the area with keep.
    Default: 512, or what the model was trained on where that is more (SD 2.1: 768, SDXL: 1024)."""
    tile: Annotated[Annotated[int, Field(ge=64, le=4096)] | None, _PICTURE] = None
    """Most pixels per side that the model sees at once, such as its default --size: larger pictures
    are made in overlapping windows that are blended in each step. Styles are brought to its area.
    Default: whole pictures."""
    fit: Annotated[Fit, _PICTURE] = "keep"
    """keep: the whole picture, result at the source's own width and height; crop: the centre
    square, result at size x size (as in the paper)."""
    max_pixels: Annotated[int, Field(ge=1), _NOTHING] = 200_000_000
    """Pictures with more pixels than this are refused (decompression bombs)."""
    max_bytes: Annotated[int, Field(ge=1), _NOTHING] = 256 * 2**20
    """Picture files with more bytes than this are refused and not read whole."""


class MethodOptions(_Options):
    """What makes the pictures."""

    method: Annotated[Method, _PICTURE] = "styleid"
    """styleid, or a simpler method to compare it with: adain, reinhard and mkl transfer colours
    and need no model; latent-adain takes the channel statistics of the style's latent."""


class ModelOptions(_Options):
    """Which model makes the pictures, and in what precision."""

    model: Annotated[str, _PICTURE] = PAPER_MODEL
    """Hub id, local diffusers folder or URL of one (fetched once per node), or a local .safetensors
    file, of the SD 1.x, 2.x and XL families, or of a latent diffusion model without text; demo is
    the embedded model."""
    revision: Annotated[str | None, _PICTURE] = None
    """Branch, tag or commit of a hub model; the run's config keeps the commit it stands for."""
    vae: Annotated[str | None, _PICTURE] = None
    """Another autoencoder for the model: local folder in diffusers format or hub id, such as
    stabilityai/sd-vae-ft-mse, at a commit with @COMMIT. Default: the model's own."""
    vae_tile: Annotated[Annotated[int, Field(ge=64, le=4096, multiple_of=64)] | None, _PICTURE] = (
        None
    )
    """Most pixels per side in one call of the autoencoder, a multiple of 64: larger pictures go
    through it in overlapping tiles that are blended, which takes less memory. Default: whole
    pictures, or those of --tile."""
    lora: Annotated[tuple[str, ...], _PICTURE] = ()
    """Comma-separated .safetensors files of LoRA weights to add to the model's UNet, each as FILE
    or FILE:WEIGHT, such as ink.safetensors:0.8. The prompt is empty, so their text encoder weights
    have no effect."""
    dtype: Annotated[DType, _ENCODING] = "auto"
    """Precision of the weights; auto is float16 on CUDA and float32 on CPU."""
    device: Annotated[Device, _NOTHING] = "auto"
    """Where the model runs; auto takes CUDA where there is a GPU."""

    @field_validator("lora", mode="before")
    @classmethod
    def _loras_from_text(cls, value: Any) -> Any:
        if value is None:
            return ()
        if not isinstance(value, (str, list, tuple)):
            raise ValueError('must be files such as "ink.safetensors:0.8"')
        texts = [value] if isinstance(value, str) else value
        files = [part.strip() for text in texts for part in str(text).split(",")]
        if texts and not any(files):
            raise ValueError("name a file at least, or leave it out")
        return [file for file in files if file]


class OutputOptions(_Options):
    """What is written, and where."""

    output: Annotated[str, _NOTHING]
    """Folder or URL of the run: dataset, errors, plan and summary. Running again resumes."""
    extend: Annotated[bool, _NOTHING] = Field(default=False, exclude=True)
    """List the sources of a run again and add the pairs that its plan lacks, in new shards. Without
    it, a run is resumed as it was planned."""
    format: Annotated[OutputFormat, _ENCODING] = "parquet"
    """parquet: pictures inside the Parquet files of shards; files: beside them, in images/."""
    picture_format: Annotated[PictureFormat, _ENCODING] = "png"
    """Encoding of the result pictures."""
    quality: Annotated[int, Field(ge=1, le=100), _ENCODING] = 95
    """Quality of jpeg and webp (100 is lossless for webp)."""
    export: Annotated[ExportFormat | None, _NOTHING] = None
    """When every pair is finished, export the run in this format to OUTPUT/export/FORMAT, like
    `styleid-ray export`."""
    push_to: Annotated[str | None, _NOTHING] = None
    """With --export: upload the export to the dataset OWNER/NAME on the Hugging Face hub; its card
    shows the run's progress."""
    reject: Annotated[str | None, _NOTHING] = None
    """Rule on the quality columns (docs/quality.md), such as "structure<0.4 or blank>0.9": pairs
    that an export leaves out and `retry --rejected` makes again. They are still made."""

    @field_validator("reject")
    @classmethod
    def _reject_is_a_rule(cls, value: str | None) -> str | None:
        return None if value is None else str(parse_rule(value))


class ShardOptions(_Options):
    """The unit of work: contents x styles whose inversions are shared."""

    shard_pairs: Annotated[int, Field(ge=1, le=2048), _NOTHING] = 200
    """Most pairs in one shard, which inverts each of its pictures once: more pairs take fewer UNet
    evaluations in all, and more memory. With several actors each gets two shards at least."""


class EngineOptions(_Options):
    """How the engine uses the device. Only `feature_dtype` touches the pictures, and little."""

    batch: Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], _NOTHING] = "auto"
    """Most latents in one UNet call, and a quarter as many pictures in one call of the autoencoder;
    auto measures the fastest on a GPU. Halved when memory runs out."""
    features: Annotated[FeatureStore, _NOTHING] = "auto"
    """Where queries, keys and values of inverted pictures are kept: on the device, or in host
    memory, prefetched one step ahead; auto goes by the free memory."""
    feature_dtype: Annotated[FeatureDType, _ENCODING] = "auto"
    """Precision of kept features; auto is the model's; int8 halves float16."""
    feature_memory: Annotated[Annotated[float, Field(gt=0)] | None, _NOTHING] = None
    """GiB that kept features may take in an actor; default: three quarters of what is free."""
    compile: Annotated[Compile, _NOTHING] = "auto"
    """Compile UNet and autoencoder with torch.compile, which costs minutes at the start; auto does
    so on a GPU where the job is long enough to pay for it."""

    @field_validator("compile", mode="before")
    @classmethod
    def _compile_from_yaml(cls, value: Any) -> Any:
        # YAML reads the words on and off as true and false.
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class ClusterOptions(_Options):
    """Where and how wide the job runs. Nothing here changes the pictures."""

    address: Annotated[str | None, _NOTHING] = None
    """Ray cluster to use ('auto', host:port, ray://...); default: RAY_ADDRESS, else a local Ray."""
    actors: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None, _NOTHING
    ] = None
    """Fewest and most model-holding actors, as 'min,max' or one number; default: one per GPU, or
    one in all without GPUs."""
    num_gpus_per_actor: Annotated[Annotated[float, Field(ge=0)] | None, _NOTHING] = None
    """GPUs an actor takes; a fraction lets several share one; 0 runs on CPU. Default: 1 where the
    cluster has GPUs."""
    accelerator_type: Annotated[str | None, _NOTHING] = None
    """Kind of GPU that actors run on, as Ray calls it (T4, L4, A10G, A100, H100 ...); others of the
    cluster are left alone. Default: any."""
    grow: Annotated[float, Field(ge=0), _NOTHING] = 0
    """Minutes to wait for the cluster to scale up to the minimum of --actors; 0 requests no
    scale-up."""

    stall_minutes: Annotated[float, Field(gt=0), _NOTHING] = 15
    """Minutes without a step of the model after which an actor counts as stalled: it ends, and its
    shard begins again elsewhere."""

    @field_validator("actors", mode="before")
    @classmethod
    def _actors_from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if isinstance(value, int):
            value = (value, value)
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = (value[0], value[0])
        return value

    @field_validator("accelerator_type")
    @classmethod
    def _accelerator_type_is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.-]+", value):
            raise ValueError("must be one name such as A100")
        return value

    @model_validator(mode="after")
    def _accelerator_type_needs_gpus(self) -> ClusterOptions:
        if self.accelerator_type and self.num_gpus_per_actor == 0:
            raise ValueError(
                "accelerator_type is given, but num_gpus_per_actor is 0: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _actors_in_order(self) -> ClusterOptions:
        if self.actors and self.actors[0] > self.actors[1]:
            raise ValueError(
                f"actors: the minimum {self.actors[0]} is above the maximum {self.actors[1]}"
            )
        return self


class RunOptions(_Options):
    """How a run reaches its files, and when it gives up. Nothing here changes the pictures."""

    storage_options: Annotated[dict[str, Any] | None, _NOTHING] = Field(
        default=None, repr=False, exclude=True
    )
    """JSON object that fsspec opens object stores with: key, secret, token, endpoint_url, anon ...
    For one protocol of several: {"s3": {...}, "https": {...}}. Never stored."""
    max_failures: Annotated[str | None, _NOTHING] = None
    """Give up (exit status 2) when more pairs fail: a number, or a percentage of those finished
    so far, judged from the 100th on. A higher one resumes."""

    @field_validator("storage_options", mode="before")
    @classmethod
    def _storage_options_from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None if not value.strip() else value
        if value is not None and not isinstance(value, dict):
            raise ValueError('must be a JSON object such as {"anon": true}')
        return value

    @field_validator("max_failures", mode="before")
    @classmethod
    def _max_failures_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("max_failures")
    @classmethod
    def _max_failures_is_a_bound(cls, value: str | None) -> str | None:
        if value is None:
            return None
        number = re.fullmatch(r"\s*(\d+|\d+(?:\.\d+)?(?=\s*%))\s*(%?)\s*", value)
        if not number or (number[2] and float(number[1]) > 100):
            raise ValueError("must be a number of pairs such as 50, or a percentage such as 5%")
        return number[1] + number[2]


class JobConfig(
    RunOptions,
    ClusterOptions,
    EngineOptions,
    ShardOptions,
    ModelOptions,
    StyleParams,
    MethodOptions,
    PictureOptions,
    OutputOptions,
    SourceOptions,
):
    """One stylisation job: every option of `styleid-ray stylize` and every key of a job file."""

    @model_validator(mode="after")
    def _texts_are_not_empty(self) -> JobConfig:
        """An empty text is what a shell makes of a variable that is not set."""
        names = ("table", "style_weights", "style_share", "class_column", "label_masks", "masks")
        for name in (*names, "region_styles", "vae"):
            if getattr(self, name) == "":
                raise ValueError(f"{name} is empty: give it a value, or leave it out")
        return self

    @model_validator(mode="after")
    def _options_of_method(self) -> JobConfig:
        """Options that a method ignores are refused beside it."""
        fields = type(self).model_fields
        given = [name for name in fields if getattr(self, name) != fields[name].default]
        idle = [name for name in given if name in self.without_effect]
        if self.method in PIXEL_METHODS:
            idle += ["device"] if self.device == "cuda" else []
            idle += ["num_gpus_per_actor"] if self.num_gpus_per_actor else []
        if idle:
            effect = "have no effect" if len(idle) > 1 else "has no effect"
            raise ValueError(
                f"{', '.join(idle)} {effect} with method {self.method}: leave "
                f"{'them' if len(idle) > 1 else 'it'} out"
            )
        return self

    @model_validator(mode="after")
    def _schedules_fit_layers_and_steps(self) -> JobConfig:
        try:
            params = self.style_params
            # Other models may have other layers, all of which are named: that shows later.
            known = self.layers or self.model in (PAPER_MODEL, DEMO_MODEL)
            params.resolved(None if known else params.named_layers)
        except ConfigError as e:
            raise ValueError(str(e)) from None
        return self

    @model_validator(mode="after")
    def _variants_differ(self) -> JobConfig:
        if not self.inject and self.draws:
            raise ValueError(f"{' and '.join(self.draws)}: no effect without injection")
        if self.variants is None or self.variants == self.combinations:
            return self
        if self.variants < self.combinations:
            raise ValueError(
                f"variants {self.variants} is less than the {self.combinations} combinations of "
                "the lists: leave it out, or give more"
            )
        if not any(isinstance(draw, Range) for draw in self.draws.values()):
            raise ValueError(
                f"variants {self.variants} would give the same picture again: give --gamma or "
                "--temperature a range to draw from, such as 0.5..0.9"
            )
        return self

    @model_validator(mode="after")
    def _options_of_pairings(self) -> JobConfig:
        """Options of one pairing are refused beside another."""
        for name, pairings in _OF_PAIRINGS.items():
            if getattr(self, name) != type(self).model_fields[name].default and (
                self.pairing not in pairings
            ):
                raise ValueError(
                    f"{name} has no effect with pairing {self.pairing}: use it with "
                    f"{' or '.join(pairings)}"
                )
        if self.detail_luminance and not self.detail:
            raise ValueError("detail_luminance needs detail above 0")
        return self

    @model_validator(mode="after")
    def _reuse_has_something_to_share(self) -> JobConfig:
        if self.reuse and self.pairing != "random":
            raise ValueError(f"reuse is given, but pairing is {self.pairing!r}: set pairing random")
        if self.reuse and self.styles_per_content == 1:
            raise ValueError(
                "reuse needs styles_per_content of 2 or more: one style alone shares nothing"
            )
        return self

    @model_validator(mode="after")
    def _sources_fit_the_pairing(self) -> JobConfig:
        for name in ("splits", "share_styles"):
            if getattr(self, name) and self.pairing == "table":
                raise ValueError(f"{name} has no effect with pairing table: leave it out")
        if self.share_styles and self.pairing == "zip":
            raise ValueError("share_styles has no effect with pairing zip: leave it out")
        if self.pairing == "table":
            if not self.table:
                raise ValueError(
                    "pairing table needs table: a CSV, JSONL or Parquet of pairs, or JSON"
                )
        else:
            if self.table:
                raise ValueError(
                    f"table is given, but pairing is {self.pairing!r}: set pairing table"
                )
            for name in ("content", "style"):
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing: a folder, file or URL of pictures")
        return self

    @model_validator(mode="after")
    def _export_has_what_it_needs(self) -> JobConfig:
        if self.push_to and not self.export:
            raise ValueError("push_to needs export: name the format to publish")
        if self.annotations and self.content_format not in ("auto", "coco"):
            raise ValueError(
                f"annotations are COCO's, but content_format is {self.content_format!r}: leave one "
                "of them out"
            )
        return self

    @property
    def without_effect(self) -> frozenset[str]:
        """Options that the job's method ignores."""
        return without_effect(self.method)

    @property
    def on_cpu(self) -> bool:
        """Whether the job takes no GPU, whatever the cluster has."""
        return self.device == "cpu" or self.method in PIXEL_METHODS

    @property
    def unet_params(self) -> ResolvedParams | None:
        """The parameters by which the UNet is evaluated; None with a method that has no use for
        it."""
        return self.style_params.resolved() if self.method == "styleid" else None

    @property
    def draws(self) -> dict[str, Range | Sweep]:
        """Which of γ and temperature are drawn per pair, and from what."""
        given = {name: getattr(self, name) for name in _BOUNDS}
        controls = {name: parse(value) for name, value in given.items() if value is not None}
        return {name: x for name, x in controls.items() if not isinstance(x, Schedule)}

    @property
    def combinations(self) -> int:
        """Combinations of the values that are swept."""
        return math.prod(len(x.values) for x in self.draws.values() if isinstance(x, Sweep))

    @property
    def style_params(self) -> StyleParams:
        """The part of the options that the algorithm takes; for what is drawn, each pair has its
        own value."""
        given = {name: getattr(self, name) for name in StyleParams.model_fields}
        return StyleParams.model_validate(given | dict.fromkeys(self.draws))

    @property
    def working_size(self) -> int:
        """`size`, or the paper's where it is left open and no model has been looked at."""
        return self.size or PAPER_SIZE

    @property
    def style_size(self) -> int:
        """Working size of the styles: all windows of a content share them whole."""
        return min(self.working_size, self.tile or self.working_size)

    def identity(self, *changing: Changes) -> dict[str, Any]:
        """The options that change the output, resolved, without those that have no effect in this
        job; of two runs with the same identity and pairs, each can resume the other.

        Args:
            changing: only what changes this; by default the picture, the pairs or the encoding.

        Where the sources lie is no part of it, so that a bucket can move, nor is the revision of
        the model, for which the model's fingerprint stands.
        """
        changing = changing or ("picture", "pairs", "encoding")
        names = {name for name in type(self).model_fields if changes(name) in changing}
        values = self.model_dump(mode="json", include=names - {"revision"} - self._idle)
        resolved = self.style_params.resolved().model_dump(mode="json")
        values |= {"size": self.working_size} if "size" in values else {}
        # A value that is drawn is part of its pair.
        drawn = {name for name in self.draws if name in values and "pairs" not in changing}
        values |= {name: resolved[name] for name in resolved if name in values.keys() - self.draws}
        if self.masks and "picture" in changing:
            values["masks"] = True
        return {name: value for name, value in values.items() if name not in drawn}

    @property
    def _idle(self) -> set[str]:
        """Options that have no effect beside the others."""
        fields = type(self).model_fields
        idle = {name for name in ADDED if getattr(self, name) == fields[name].default}
        idle |= self.without_effect
        if self.variants == self.combinations:
            idle |= {"variants"}
        if self.pairing != "random":
            idle |= {"reuse"}
        if self.pairing not in DRAWING:
            idle |= {"styles_per_content"}
        if self.pairing not in ("random", "balanced", "by-class") and not self.draws:
            idle |= {"seed"}
        if self.picture_format == "png":
            idle |= {"quality"}
        if not self.inject:
            idle |= {"gamma", "temperature", "layers", "feature_dtype"}
        return idle

    def fingerprint(self) -> str:
        """Hash of `identity()`: 16 hexadecimal digits."""
        return digest(self.identity())


ADDED = (
    *("style_share", "variants", "style_classes", "class_column"),
    *("region_styles", "low_frequency", "detail", "detail_luminance"),
    *("vae", "vae_tile", "lora", "tile", "method"),
)
"""Options that a run made without them need not know of: at their defaults they change nothing."""
_OF_STYLEID = (
    *StyleParams.model_fields,
    *("masks", "region_styles", "lora", "tile", "features", "feature_dtype", "feature_memory"),
    "compile",
)
"""Options that other methods ignore."""
_OF_MODELS = ("model", "revision", "vae", "vae_tile", "dtype", "batch", "accelerator_type")
"""Options that methods without a model ignore, beside a device that is a GPU."""
_OF_PAIRINGS: dict[str, tuple[Pairing, ...]] = {
    "style_weights": ("random", "balanced"),
    "style_classes": ("by-class",),
    "class_column": ("by-class",),
    "region_styles": ("table",),
}


def without_effect(method: Method) -> frozenset[str]:
    """Options that a method ignores, whatever the others are."""
    if method == "styleid":
        return frozenset()
    return frozenset(_OF_STYLEID + (_OF_MODELS if method in PIXEL_METHODS else ()))


def mix_ratio(text: str | None) -> float | None:
    """Stylised pictures per original, of K:1; None for no originals.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*:\s*1\s*", text)
    if number is None or float(number[1]) <= 0:
        raise ConfigError(
            f"--mix {text!r}: must be K:1, such as 4:1 for one original per four stylised pictures"
        )
    return float(number[1])


def changes(option: str) -> Changes:
    """What an option changes."""
    (tag,) = (m for m in JobConfig.model_fields[option].metadata if isinstance(m, Tag))
    return tag.changes


def digest(value: Any, size: int = 8) -> str:
    """Stable hash of a JSON-like value, as 2·size hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
