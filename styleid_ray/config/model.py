"""Which model makes the pictures."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from styleid_ray.config.tags import Options, Tag

DType = Literal["auto", "float32", "float16", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
PAPER_MODEL = "CompVis/stable-diffusion-v1-4"
DEMO_MODEL = "demo"


class ModelOptions(Options):
    """Which model makes the pictures, and in what precision."""

    group = "model"

    model: Annotated[
        str, Tag("picture", needs="model", usual=True, place=True, written="ID|DIR|URL|FILE")
    ] = PAPER_MODEL
    """Hub id, local diffusers folder or URL of one (fetched once per node), or a local .safetensors
    file, of the SD 1.x, 2.x and XL families, or of a latent diffusion model without text; demo is
    the embedded model."""
    revision: Annotated[str | None, Tag("picture", needs="model", written="NAME")] = None
    """Branch, tag or commit of a hub model; the run's config keeps the commit it stands for."""
    vae: Annotated[
        str | None,
        Tag("picture", needs="model", place=True, only_if_used=True, written="DIR|ID[@COMMIT]"),
    ] = None
    """Another autoencoder for the model: local folder in diffusers format or hub id, such as
    stabilityai/sd-vae-ft-mse, at a commit with @COMMIT. Default: the model's own."""
    vae_tile: Annotated[
        Annotated[int, Field(ge=64, le=4096, multiple_of=64)] | None,
        Tag("picture", needs="model", only_if_used=True),
    ] = None
    """Maximum side, in pixels, in one call of the autoencoder, a multiple of 64: larger pictures go
    through it in overlapping tiles that are blended, which takes less memory. Default: whole
    pictures, or those of --tile."""
    lora: Annotated[
        tuple[str, ...],
        Tag("picture", needs="styleid", place=True, only_if_used=True, written="FILE[:WEIGHT],..."),
    ] = ()
    """Comma-separated .safetensors files of LoRA weights to add to the model's UNet, each as FILE
    or FILE:WEIGHT, such as ink.safetensors:0.8. The prompt is empty, so their text encoder weights
    have no effect."""
    dtype: Annotated[DType, Tag("encoding", needs="model")] = "auto"
    """Precision of the weights; auto is float16 on CUDA and float32 on CPU."""
    device: Annotated[Device, Tag("nothing", usual=True)] = "auto"
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
            raise ValueError("name at least one file, or leave it out")
        return [file for file in files if file]
