"""Description of a model by its JSON: StyleID's injection sites, and the inputs of the UNet.

Engine, planning, checks of options and counts of memory read here all that depends on a family.
Nothing here imports torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styleid_ray.config import PAPER_SIZE
from styleid_ray.errors import ConfigError, ModelError

TOKENS = 77
"""Length of CLIP's text embedding."""
_PAPER_LAYERS = range(6, 12)
_MOST_LAYERS = 3
"""Most layers that a message names."""
_ATTENTION = {"CrossAttnUpBlock2D": True, "AttnUpBlock2D": True, "UpBlock2D": False}
"""Blocks of a decoder, and whether they have self-attention."""
TIME_IDS = 6
"""Numbers for a picture's size and crop in Stable Diffusion XL."""


@dataclass(frozen=True)
class Site:
    """A self-attention of the decoder."""

    layer: int
    """Its number, as --layers names it."""
    name: str
    """Path of its module in the UNet."""
    level: int
    """One token covers 2^level x 2^level latent positions."""
    channels: int
    heads: int

    def tokens(self, latent: tuple[int, int]) -> int:
        """Tokens for a latent of this height and width."""
        return (latent[0] >> self.level) * (latent[1] >> self.level)


@dataclass(frozen=True)
class ModelDescription:
    """A latent diffusion model whose UNet StyleID can inject into."""

    sites: Mapping[int, Site]
    """By layer number.

    Layers count through the decoder's blocks in the order of their work. A residual block followed
    by a transformer counts once per block of the transformer, a residual block without attention
    counts once. Stable Diffusion 1.x and 2.x have the paper's layers 3-11."""
    deep: bool
    """Whether a transformer has several blocks, so that the paper's numbers mean nothing."""
    prediction_type: str
    latent_channels: int
    unet_factor: int
    """Sides of a latent are multiples of it."""
    vae_factor: int
    """Pixels per side of a latent position."""
    native_size: int
    """Side in pixels of the UNet's training pictures; 0 if unknown."""
    text_width: int
    """Width of the prompt's embedding; 0 for a model without text."""
    pooled_width: int
    """Width of the prompt's pooled embedding, which comes with `time_ids`; 0 if the UNet takes
    none."""
    upcast_vae: bool
    """Whether the autoencoder computes in float32 beside a float16 UNet: its JSON says that its
    numbers leave float16's range."""

    @property
    def factor(self) -> int:
        """Pixels; the sides of a picture must be multiples of it."""
        return self.unet_factor * self.vae_factor

    @property
    def default_size(self) -> int:
        """Default working size in pixels: the paper's 512, or the size of training pictures if
        larger."""
        return max(PAPER_SIZE, self.native_size)

    @property
    def default_layers(self) -> tuple[int, ...] | None:
        """Default layers to inject into; None for the preset's.

        A model with another layout than the paper's has all layers of the finest level with
        attention: in Stable Diffusion XL the last six, as in others' work (docs/models.md).
        """
        if not self.deep and self.sites.keys() >= set(_PAPER_LAYERS):
            return None
        finest = min((site.level for site in self.sites.values()), default=0)
        return tuple(sorted(n for n, site in self.sites.items() if site.level == finest))

    def time_ids(self, latent: tuple[int, int]) -> tuple[int, ...]:
        """Size conditions of Stable Diffusion XL, in pixels, for a latent of this height and width:
        original height and width, the crop's top and left, target height and width. Without an
        autoencoder a latent position counts as 8 x 8 pixels."""
        factor = self.vae_factor if self.vae_factor > 1 else 8
        size = tuple(side * factor for side in latent)
        return (*size, 0, 0, *size)

    def check_layers(self, layers: Sequence[int], name: str = "this model") -> None:
        """Raises ConfigError for layers that the model lacks."""
        missing = [str(layer) for layer in layers if layer not in self.sites]
        if missing:
            more = ", …" if len(missing) > _MOST_LAYERS else ""
            own = f"{min(self.sites)}-{max(self.sites)}" if self.sites else "none"
            raise ConfigError(
                f"--layers {', '.join(missing[:_MOST_LAYERS])}{more}: {name} has no such decoder "
                f"self-attention layers; its own are {own}"
            )

    def check_tile(self, tile: int | None, name: str = "this model") -> None:
        """Raises ConfigError for a tile that the model's factor does not divide."""
        if tile and tile % self.factor:
            raise ConfigError(f"--tile {tile}: {name} needs a multiple of {self.factor}")


def describe(
    unet: Mapping[str, Any],
    vae: Mapping[str, Any] | None = None,
    scheduler: Mapping[str, Any] | None = None,
) -> ModelDescription:
    """The description of a model by the configurations of its parts in diffusers format.

    Raises:
        ModelError: the UNet has blocks that StyleID does not know.
    """
    levels = len(unet["block_out_channels"])
    depths = list(_depths(unet))
    crosses = "CrossAttnUpBlock2D" in unet["up_block_types"]
    width = (unet.get("cross_attention_dim", 1280) or 0) if crosses else 0
    factor = 2 ** (vae_levels(vae) - 1) if vae else 1
    side, pooled = unet.get("sample_size") or 0, _pooled_width(unet)
    return ModelDescription(
        sites={site.layer: site for site in _sites(unet, depths)},
        deep=any(depth > 1 for block in depths for depth in block),
        prediction_type=(scheduler or {}).get("prediction_type", "epsilon"),
        latent_channels=unet_channels(unet),
        unet_factor=2 ** (levels - 1),
        vae_factor=factor,
        native_size=(max(side) if isinstance(side, Sequence) else side) * factor,
        text_width=width if isinstance(width, int) else width[0],
        pooled_width=pooled,
        # diffusers' pipelines use it in this family alone.
        upcast_vae=bool(pooled and vae and vae.get("force_upcast")),
    )


def unet_channels(unet: Mapping[str, Any], name: str = "in_channels") -> int:
    """Channels that a unet takes, or gives as `out_channels`, by its configuration."""
    return unet.get(name) or (3 if unet.get("_class_name") == "UNet2DModel" else 4)


def vae_channels(vae: Mapping[str, Any]) -> int:
    """Channels of an autoencoder's latents, by its configuration."""
    return vae.get("latent_channels") or (3 if vae.get("_class_name") == "VQModel" else 4)


def vae_levels(vae: Mapping[str, Any]) -> int:
    """Resolutions of an autoencoder, each half the one before, by its configuration."""
    names = ("block_out_channels", "encoder_block_out_channels")
    channels = next((vae[name] for name in names if vae.get(name)), None)
    return len(channels) if channels else 1 if vae.get("_class_name") != "AutoencoderTiny" else 4


def _pooled_width(unet: Mapping[str, Any]) -> int:
    if unet.get("addition_embed_type") != "text_time":
        return 0
    times = TIME_IDS * unet["addition_time_embed_dim"]
    return unet["projection_class_embeddings_input_dim"] - times


def _depths(unet: Mapping[str, Any]) -> Iterator[list[int]]:
    """For each block of the decoder, the self-attentions after each residual block."""
    levels = len(unet["block_out_channels"])
    resnets = _by_level(unet.get("layers_per_block", 2), levels)[::-1]
    depths = unet.get("reverse_transformer_layers_per_block")
    if depths is None:
        depths = _by_level(unet.get("transformer_layers_per_block") or 1, levels)[::-1]
    for block, count, depth in zip(unet["up_block_types"], resnets, depths, strict=True):
        if block not in _ATTENTION:
            raise ModelError(
                f"the unet's decoder has blocks of the kind {block}, which StyleID does not know: "
                f"it knows {', '.join(_ATTENTION)}"
            )
        if block != "CrossAttnUpBlock2D":
            yield [int(_ATTENTION[block])] * (count + 1)
        else:
            yield list(depth) if isinstance(depth, Sequence) else [depth] * (count + 1)


def _sites(unet: Mapping[str, Any], depths: Sequence[Sequence[int]]) -> Iterator[Site]:
    layer, levels = 0, len(unet["block_out_channels"])
    for i, (kind, block) in enumerate(zip(unet["up_block_types"], depths, strict=True)):
        level = levels - 1 - i
        channels = unet["block_out_channels"][level]
        crosses = kind == "CrossAttnUpBlock2D"
        heads = _heads(unet, level) if crosses else channels // _head_width(unet, i, channels)
        for j, depth in enumerate(block):
            for k in range(depth):
                inner = f".transformer_blocks.{k}.attn1" if crosses else ""
                name = f"up_blocks.{i}.attentions.{j}{inner}"
                yield Site(layer + k, name, level, channels, heads)
            layer += max(depth, 1)


def _heads(unet: Mapping[str, Any], level: int) -> int:
    """Heads of the transformers of a level: diffusers names them `attention_head_dim`."""
    heads = unet.get("num_attention_heads") or unet.get("attention_head_dim", 8)
    return _by_level(heads, len(unet["block_out_channels"]))[level]


def _head_width(unet: Mapping[str, Any], block: int, channels: int) -> int:
    """Width of the heads in a block without transformers: here the name is literal."""
    widths = unet.get("attention_head_dim", 8)
    return _by_level(widths, len(unet["block_out_channels"]))[block] or channels


def _by_level(value: Any, levels: int) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value] * levels
