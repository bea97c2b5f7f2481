"""The demo model's UNet: Stable Diffusion 1.x's topology at a hundredth of its size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn


@dataclass(frozen=True)
class UNetSize:
    """Channels per resolution, attention heads, and the shape of the null embedding."""

    channels: tuple[int, int, int, int] = (64, 96, 128, 112)
    heads: int = 2
    tokens: int = 4
    embedding: int = 32


SIZES: dict[str, UNetSize] = {
    "tiny": UNetSize((16, 16, 32, 32), heads=2, tokens=2, embedding=8),
    "small": UNetSize((48, 64, 96, 96)),
    "base": UNetSize(),
    "large": UNetSize((128, 256, 512, 512), heads=8, tokens=8, embedding=128),
}


class Denoiser(nn.Module):
    """The UNet with its learned null embedding in place of a text encoder."""

    def __init__(self, size: UNetSize, latent_channels: int) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=32,
            in_channels=latent_channels,
            out_channels=latent_channels,
            layers_per_block=2,
            block_out_channels=size.channels,
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            cross_attention_dim=size.embedding,
            attention_head_dim=size.heads,  # diffusers' name for the number of heads
            norm_num_groups=16,
        )
        self.null_embedding = nn.Parameter(0.5 * torch.randn(1, size.tokens, size.embedding))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Predicted noise [B, C, h, w] for latents x_t at the integer timesteps t [B]."""
        embedding = self.null_embedding.expand(len(x_t), -1, -1)
        return self.unet(x_t, t, embedding, return_dict=False)[0]


def build_scheduler() -> DDIMScheduler:
    """The noise schedule of Stable Diffusion 1.x: scaled linear, 1000 steps, epsilon."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
