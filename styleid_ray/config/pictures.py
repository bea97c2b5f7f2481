"""What makes the pictures, and at which size."""

from typing import Annotated, Literal

from pydantic import Field

from styleid_ray.config.tags import Options, Tag

Method = Literal["styleid", "adain", "reinhard", "mkl", "latent-adain"]
PIXEL_METHODS: tuple[Method, ...] = ("adain", "reinhard", "mkl")
"""Methods that need no model."""
Fit = Literal["keep", "crop"]
PAPER_SIZE = 512
"""Working size of the paper in pixels."""


class PictureOptions(Options):
    """How pictures are brought to the model's size, and back."""

    group = "picture"

    size: Annotated[Annotated[int, Field(ge=64, le=4096)] | None, Tag("picture", usual=True)] = None
    """Working size in pixels: the side with --fit crop, the square root of the area with keep.
    Default: 512, or what the model was trained on where that is more (SD 2.1: 768, SDXL: 1024)."""
    tile: Annotated[
        Annotated[int, Field(ge=64, le=4096)] | None,
        Tag("picture", needs="styleid", only_if_used=True),
    ] = None
    """Maximum side, in pixels, of the window that the model processes, such as its default --size:
    larger pictures are made in overlapping windows that are blended in each step. Styles are
    brought to its area. Default: whole pictures."""
    fit: Annotated[Fit, Tag("picture", usual=True)] = "keep"
    """keep: the whole picture, result at the source's own width and height; crop: the centre
    square, result at size x size (as in the paper)."""
    max_pixels: Annotated[int, Field(ge=1), Tag("nothing")] = 200_000_000
    """Pictures with more pixels than this are refused (decompression bombs)."""
    max_bytes: Annotated[int, Field(ge=1), Tag("nothing")] = 256 * 2**20
    """Picture files with more bytes than this are refused and not read whole."""


class MethodOptions(Options):
    """What makes the pictures."""

    group = "style"

    method: Annotated[Method, Tag("picture", usual=True, only_if_used=True)] = "styleid"
    """styleid, or a simpler method to compare it with: adain, reinhard and mkl transfer colours
    and need no model; latent-adain takes the channel statistics of the style's latent."""
