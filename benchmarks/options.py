"""The measurements' options. Importing them loads neither torch nor ray, so that a measurement's
own processes start light."""

from __future__ import annotations

from dataclasses import dataclass, field

from styleid_ray.config import DEMO_MODEL


@dataclass(frozen=True)
class NaiveOptions:
    """The engine against the plain procedure."""

    model: str = DEMO_MODEL
    """Model of both sides."""
    size: int = 256
    """Pixels a side."""
    steps: int = 20
    """DDIM steps."""
    batch: int = 8
    """Most latents in one UNet call of the engine."""
    grids: tuple[str, ...] = ("1x1", "4x4", "20x40")
    """Contents x styles."""
    longest: int = 64
    """Grids of more pairs are extrapolated from the largest one that was measured."""
    naive_pairs: int = 3
    """Pairs that the plain procedure makes; its other pairs cost the same."""


@dataclass(frozen=True)
class PipelineOptions:
    """The pipeline on Ray against the bare engine."""

    content: str | None = None
    """Content pictures; drawn ones when not given."""
    style: str | None = None
    """Style pictures; drawn ones when not given."""
    model: str = DEMO_MODEL
    """Model of both sides."""
    size: int = 128
    """Working size in pixels."""
    steps: int = 20
    """DDIM steps."""
    shard_pairs: int = 32
    """Most pairs in one shard."""
    actors: int = 1
    """Actors of the pipeline."""
    contents: int = 16
    """Pictures drawn as contents."""
    styles: int = 16
    """Pictures drawn as styles."""


@dataclass(frozen=True)
class ScalingOptions:
    """Scaling on simulated devices."""

    actors: tuple[int, ...] = (1, 4, 16, 64)
    """Numbers of actors."""
    shards_per_actor: int = 8
    """Shards for each actor."""
    shard_seconds: float = 100
    """What a shard takes on the device that is simulated: 200 pairs of 0.5 s each."""
    shorter: float = 10
    """Times the simulation is shorter than that."""
    size: int = 64
    """Pixels a side of the pictures."""


@dataclass(frozen=True)
class MemoryOptions:
    """Peak memory while the pairs grow."""

    pairs: tuple[int, ...] = (100, 1000, 10_000)
    """Pairs of each run."""
    size: int = 128
    """Pixels a side of the pictures."""
    actors: int = 4
    """Simulated actors."""
    shard_seconds: float = 0.2
    """What a shard of 16 pairs takes."""
    period: float = 0.25
    """Seconds from one look at the processes to the next."""


@dataclass(frozen=True)
class GpuOptions:
    """How much of a GPU the engine uses."""

    device: str = "cuda"
    """Device that is measured; without CUDA the default is left out."""
    dtypes: tuple[str, ...] = ("float16", "bfloat16")
    """Precisions of the model: the first everywhere, the others once."""
    size: int = 512
    """Pixels a side."""
    steps: int = 50
    """DDIM steps of the whole procedures."""
    contents: int = 10
    """Contents of the grid that the engine makes."""
    styles: int = 20
    """Styles of the grid."""
    plain_pairs: int = 2
    """Pairs that the plain procedure makes."""
    batches: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    """Batches of a plain UNet call, besides 1."""
    autoencoder_batches: tuple[int, ...] = (1, 4, 8)
    """Batches of the autoencoder."""
    few_steps: int = 6
    """DDIM steps where ways to run the engine are compared."""
    variant_batches: tuple[int, ...] = (8, 16, 32, 64)
    """Batches of the engine that are compared."""
    attention: tuple[str, ...] = ("flash", "efficient", "cudnn")
    """Attention backends that are compared, besides PyTorch's own choice."""
    compiled: bool = True
    """Whether the engine is measured compiled, too."""
    matrix: int = 8192
    """Side of the square matrices whose product is the measured peak."""
    width: int = 320
    """Channels of the UNet's first block, 320 in Stable Diffusion 1.x; the autoencoder has 0.4
    times as many."""
    seconds: float = 450
    """Time for all of it: what would take longer than is left is skipped."""
    compile_seconds: float = 150
    """Reckoned for compiling, until it was measured once."""


@dataclass(frozen=True)
class PlanningOptions:
    """Time and memory of planning."""

    pairs: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Pairs planned; 10000000 takes a minute and 2 GiB."""
    styles: int = 1000
    """Pictures of the style folder; `random` draws a tenth of them for each content."""
    limit: float = 300
    """Seconds that one plan may take."""


@dataclass(frozen=True)
class LoadingOptions:
    """Time and memory of loading one shard."""

    megapixels: tuple[float, ...] = (1, 24)
    """Megapixels of each picture, a JPEG file."""
    pictures: int = 256
    """Pictures of the shard."""
    size: int = 512
    """Working size in pixels."""
    period: float = 0.05
    """Seconds from one look at the processes to the next."""


@dataclass(frozen=True)
class ResumingOptions:
    """Resuming a finished run."""

    shards: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Numbers of shards."""
    shard_pairs: int = 200
    """Pairs of each."""


@dataclass(frozen=True)
class ExportingOptions:
    """Exporting a finished run of a COCO dataset."""

    pictures: tuple[int, ...] = (5_000, 50_000)
    """Numbers of pictures."""
    annotations_per_picture: int = 8
    """Annotations of each."""
    formats: tuple[str, ...] = ("coco", "webdataset", "parquet")
    """Formats of the exports."""
    shard_pairs: int = 200
    """Pairs of a shard."""


@dataclass(frozen=True)
class EvaluatingOptions:
    """Evaluating a finished run."""

    contents: tuple[int, ...] = (5, 20)
    """Numbers of contents."""
    styles: int = 40
    """Styles; each content is paired with each."""
    size: int = 256
    """Pixels a side."""
    plain_pairs: int = 20
    """Pairs that the plain procedure is measured on."""


@dataclass(frozen=True)
class ControlsOptions:
    """What each control costs and does."""

    model: str = DEMO_MODEL
    """Model of all calls."""
    size: int = 256
    """Pixels a side."""
    steps: int = 20
    """DDIM steps."""
    contents: int = 2
    """Contents; there are two styles."""
    content: str | None = None
    """Folder of contents; default: the demo's."""
    style: str | None = None
    """Folder of styles; default: the demo's."""
    repeats: int = 3
    """Calls of each."""


@dataclass(frozen=True)
class VpredictionOptions:
    """What inversion and sampling keep of a latent, by how a v-prediction is read."""

    steps: tuple[int, ...] = (20, 50)
    """Numbers of DDIM steps."""
    side: int = 64
    """Positions a side of the latents."""
    count: int = 16
    """Latents."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """Which measurements are made, and how large."""

    only: str | None = None
    """Names of measurements with commas between; all when not given."""
    json: str = "out/benchmark.json"
    """Where the figures go."""
    naive: NaiveOptions = field(default_factory=NaiveOptions)
    pipeline: PipelineOptions = field(default_factory=PipelineOptions)
    scaling: ScalingOptions = field(default_factory=ScalingOptions)
    memory: MemoryOptions = field(default_factory=MemoryOptions)
    gpu: GpuOptions = field(default_factory=GpuOptions)
    resuming: ResumingOptions = field(default_factory=ResumingOptions)
    planning: PlanningOptions = field(default_factory=PlanningOptions)
    loading: LoadingOptions = field(default_factory=LoadingOptions)
    exporting: ExportingOptions = field(default_factory=ExportingOptions)
    evaluating: EvaluatingOptions = field(default_factory=EvaluatingOptions)
    controls: ControlsOptions = field(default_factory=ControlsOptions)
    vprediction: VpredictionOptions = field(default_factory=VpredictionOptions)
