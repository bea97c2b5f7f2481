"""A job, checked before any work starts: its model, layers, size and sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from styleid_ray.batch.cluster.node_model import find_model
from styleid_ray.batch.folder.identity import identity, with_defaults, with_stored
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import check_model, locations, stored_vae
from styleid_ray.batch.folder.stored import run_source
from styleid_ray.config import PAPER_SIZE, JobConfig, digest, flag
from styleid_ray.datasets.masks import check_all_masked
from styleid_ray.datasets.options import Spread, in_threads
from styleid_ray.datasets.pictures import takes
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.imaging import extension
from styleid_ray.imaging.fit import check_crop_size, working_size
from styleid_ray.model.blank import evaluation_flops
from styleid_ray.model.checkpoint import Checkpoint
from styleid_ray.model.windows import Windows
from styleid_ray.planning import NamedPairs, Pace, Pairs, Plan, name_pairs
from styleid_ray.planning.choice import NOTHING, Earlier
from styleid_ray.planning.columns import style_columns
from styleid_ray.planning.cost import Cost
from styleid_ray.planning.mask_names import mask_names
from styleid_ray.planning.pairing import read_sources
from styleid_ray.storage.locations import is_absolute, shown

# Assumed speeds in floating-point operations per second: a mid-range GPU in float16, and a CPU core
# in float32.
_GPU_SPEED, _CORE_SPEED = 40e12, 25e9


@dataclass(frozen=True)
class Job:
    """A checked job, as the pipeline takes it."""

    config: JobConfig
    checkpoint: Checkpoint
    contents: Source
    """Location of the contents; the keys are in the plan."""
    styles: Source

    @property
    def latent(self) -> tuple[int, int]:
        """Height and width of the latent of a square content at the working size."""
        size, model = self.config.working_size, self.checkpoint.description
        side = working_size(size, size, size, model.factor)[0] // model.vae_factor
        return side, side

    @property
    def windows(self) -> Windows:
        """Windows of the UNet over `latent`."""
        tile = self.config.tile
        return Windows.over(self.latent, tile and tile // self.checkpoint.description.vae_factor)

    @property
    def pinned(self) -> JobConfig:
        """The config with its other autoencoder and LoRA weights at the commits or places found."""
        vae, loras = self.checkpoint.vae, self.checkpoint.loras
        pinned = {
            **({"vae": vae.reference} if vae else {}),
            **({"lora": tuple(lora.reference for lora in loras)} if loras else {}),
        }
        return self.config.model_copy(update=pinned)


@dataclass(frozen=True)
class Prepared(Job):
    """A job whose sources were listed and paired."""

    named: NamedPairs

    @property
    def notes(self) -> list[str]:
        """Notes of the pairing, and on --seed and --styles-per-content without effect."""
        used, fields = self.config.identity("pairs"), JobConfig.model_fields
        reasons = {
            "styles_per_content": f"with --pairing {self.config.pairing}",
            "seed": "in this job, which draws nothing",
        }
        idle = [
            f"{flag(name)} {getattr(self.config, name)} has no effect {reason}"
            for name, reason in reasons.items()
            if name not in used and getattr(self.config, name) != fields[name].default
        ]
        return [*self.named.pairs.notes, *idle]

    @property
    def fingerprint(self) -> str:
        """The digest of this job's identity."""
        return digest(identity(self.config, self.checkpoint))

    @cached_property
    def plan(self) -> Plan:
        """The plan for one actor of unknown speed."""
        return self.named.cut(self.config)

    def cost_of(self, plan: Plan) -> Cost:
        """Pairs, shards and UNet evaluations of a plan of this job."""
        params = self.config.unet_params
        return plan.cost(params, len(self.windows) if params else 1)

    def pace(self, workers: int, gpus: float, cores: int) -> Pace:
        """The assumed speed of `workers` actors with `gpus` GPUs each, or else `cores` CPU cores;
        unknown for a method without a UNet."""
        if self.config.unet_params is None:
            return Pace(workers)
        windows = self.windows
        flops = evaluation_flops(self.checkpoint.config("unet"), windows.height, windows.width)
        speed = 0 if self.config.device == "cpu" else gpus * _GPU_SPEED
        return Pace(workers, flops / (speed or cores * _CORE_SPEED))


def model_of(config: JobConfig) -> tuple[Checkpoint, JobConfig]:
    """The checkpoint of a job's model, and the job with that model's defaults, checked against it.

    Raises:
        ModelError: the model cannot be used.
        ConfigError: it lacks a layer of the job, or cannot make pictures of its size.
    """
    checkpoint = find_model(config)
    if checkpoint.origin == "none":
        return checkpoint, with_defaults(config, PAPER_SIZE, None)
    model = checkpoint.description
    config = with_defaults(config, model.default_size, model.default_layers)
    check_layers(checkpoint, config)
    model.check_tile(config.tile, checkpoint.name)
    return checkpoint, config


def prepare(config: JobConfig, spread: Spread = in_threads, earlier: Earlier = NOTHING) -> Prepared:
    """Checks a job, lists its sources and pairs them; raises JobError with a remedy. `spread` calls
    a function on many files of a source; `earlier` has facts from an existing run at the output.
    """
    checkpoint, config = model_of(config)
    if config.fit == "crop":
        check_crop_size(config.working_size, checkpoint.factor)
    check_output_outside(config)
    fingerprint = digest(identity(config, checkpoint, "picture"))
    named = name_pairs(config, fingerprint, spread, earlier)
    _check_masked(config, named.pairs)
    check_method(config, named.pairs)
    return Prepared(config, checkpoint, named.pairs.contents, named.pairs.styles, named)


def resume(output: Output, config: JobConfig) -> Job:
    """The job of an existing run with work left. A source is listed only if it has moved, or if its
    URLs hold secrets, which are not stored.

    Raises:
        OutputError: the run was begun with another model, or nothing can be written.
        JobError: the model, or a source that has moved, cannot be used.
    """
    output.check_writable()
    record = output.existing_record()
    stored, config = record["config"], with_stored(config, record)
    # The commits that branches pointed to when the run began, not the current ones.
    if config.model == stored.get("model") and config.revision in (None, stored.get("revision")):
        config = config.model_copy(update={"revision": record["model"]["revision"]})
    if config.vae and config.vae == stored.get("vae") and record.get("vae", {}).get("revision"):
        config = config.model_copy(update={"vae": stored_vae(record)})
    if config.region_styles and not config.label_masks:
        raise ConfigError("--region-styles needs --label-masks, whose classes it names")
    checkpoint = find_model(config)
    check_model(output, record, checkpoint)
    options, current = config.storage_options, locations(config)
    moved = any(current.get(name) != stored.get(name) for name in ("content", "style", "table"))
    if moved or record.get("sources") is None:
        contents, styles = read_sources(config, options)
    else:
        contents, styles = (run_source(record, role, options) for role in ("content", "style"))
    return Job(config, checkpoint, contents, styles)


def _check_masked(config: JobConfig, pairs: Pairs) -> None:
    """Raises SourceError if a listing shows that --masks lacks the mask of a content."""
    if not config.masks:
        return
    names, contents = mask_names(pairs), pairs.contents
    if not config.masks.lower().startswith(("http://", "https://")):
        check_all_masked(contents, config.masks, "masks", config.storage_options, names)
    elif absolute := next(filter(is_absolute, names), None):
        raise SourceError(
            f"--masks: {shown(absolute)} has no matching name in a folder of masks: give the table "
            "names relative to --content, or a column mask"
        )


def check_method(config: JobConfig, pairs: Pairs) -> None:
    """Raises ConfigError for columns of a table of pairs that the job's method ignores."""
    if config.method == "styleid" or not pairs.table.num_rows:
        return
    table = pairs.table
    columns = [*style_columns(table)[1:], "gamma", "temperature"]
    idle = [name for name in columns if table[name].null_count < table.num_rows]
    if idle:
        raise ConfigError(
            f"--table: the column {idle[0]} has no effect with --method {config.method}: leave it "
            "out"
        )


def check_layers(checkpoint: Checkpoint, config: JobConfig) -> None:
    """Raises ConfigError for layers that the model lacks; reads its small files alone."""
    params = config.unet_params
    if params and params.inject:
        checkpoint.description.check_layers(params.layers, checkpoint.name)


def check_output_outside(config: JobConfig) -> None:
    """Raises ConfigError if --content or --style would list files of the run. A table of pairs
    lists none."""
    if config.pairing == "table":
        return
    picture = f"x{extension(config.picture_format)}"
    folders = {"images": config.format == "files", "export": bool(config.export)}
    files = [f"{folder}/{picture}" for folder, used in folders.items() if used]
    check_outside(config, config.output, "output", ["data/x.parquet", *files])


def check_outside(config: JobConfig, url: str, option: str, files: Sequence[str] = ()) -> None:
    """Raises ConfigError if files below a location, by default pictures, would become contents or
    styles of the job when it resumes."""
    files = files or [f"x{extension(config.picture_format)}"]
    for file, name in product(files, ("content", "style")):
        source = getattr(config, name) or ""
        # The YAML of a YOLO dataset names folders of pictures, and no other files count.
        named = source.lower().endswith((".yaml", ".yml")) and file.endswith(".parquet")
        if source and not named and takes(source, f"{url.rstrip('/')}/{file}"):
            raise ConfigError(
                f"--{option} {shown(url)} lies in --{name} {shown(source)}, so its files would "
                f"become further {name}s: choose a location outside"
            )
