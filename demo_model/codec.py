"""The codec: a diffusers `AutoencoderKL` that starts as a linear transform and is trained upward.

The encoder's weights are set so that it computes principal components: of 2 x 2 patches, of 2 x 2
groups of those, and again, which comes close to the principal components of 8 x 8 patches. The
decoder's linear path is solved by least squares, resolution by resolution. All residual branches
start at zero, so training can only add to the linear solution.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

Codec = Any
"""A diffusers `AutoencoderKL`; its parts are modules without declared types."""

WIDTHS = (16, 32, 64, 96)
CARRIER = 20.0
"""Height of the constant channels that keep the last group norms from rescaling the signal."""
BIAS, SLOPE = 5.0, 0.7
"""Working point of the last SiLUs: silu(BIAS + SLOPE x) is close to linear in x."""


def build_codec(latent_channels: int = 16, widths: tuple[int, ...] = WIDTHS) -> Codec:
    """An untrained codec of factor 8 for pictures [B, 3, H, W] in [-1, 1]."""
    kind: Any = AutoencoderKL
    return kind(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=256,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


def encode(codec: Codec, x: Tensor) -> Tensor:
    """Latents [B, C, H/8, W/8] of pictures in [-1, 1]: the posterior's mode, scaled."""
    latents = codec.encode(x, return_dict=False)[0].mode()
    return latents * float(_config(codec)["scaling_factor"])


def decode(codec: Codec, z: Tensor) -> Tensor:
    """Pictures [B, 3, 8h, 8w], about [-1, 1], of latents [B, C, h, w]."""
    return codec.decode(z / float(_config(codec)["scaling_factor"]), return_dict=False)[0]


def _config(codec: Codec) -> dict[str, Any]:
    return dict(codec.config)


@torch.no_grad()
def start_linear(codec: Codec, pictures: Tensor) -> None:
    """Set the weights to the linear solution for sample pictures [N, 3, H, W] in [-1, 1]."""
    for module in codec.modules():
        if type(module).__name__ == "ResnetBlock2D":
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
            if module.conv_shortcut is not None:
                _pass_through(module.conv_shortcut, min(module.conv_shortcut.weight.shape[:2]))
    codec.quant_conv.weight.copy_(torch.eye(codec.quant_conv.weight.shape[0])[..., None, None])
    codec.post_quant_conv.weight.copy_(
        torch.eye(codec.post_quant_conv.weight.shape[0])[..., None, None]
    )
    nn.init.zeros_(codec.quant_conv.bias)
    nn.init.zeros_(codec.post_quant_conv.bias)
    levels = _linear_encoder(codec, pictures)
    _linear_decoder(codec, pictures, levels)


def _pass_through(conv: Any, count: int, noise: float = 0.3) -> None:
    """Copy the first `count` channels; the other outputs get small random filters."""
    weight = conv.weight
    nn.init.normal_(weight, std=noise / weight[0].numel() ** 0.5)
    weight[:count] = 0.0
    centre = weight.shape[-1] // 2
    for k in range(count):
        weight[k, k, centre, centre] = 1.0
    nn.init.zeros_(conv.bias)


def _linear_encoder(codec: Codec, pictures: Tensor) -> list[Tensor]:
    """Fill the encoder's linear path; returns the features of each level, unit variance each."""
    encoder, latent = codec.encoder, int(_config(codec)["latent_channels"])
    _pass_through(encoder.conv_in, 3)
    levels, features = [pictures], pictures
    for block in list(encoder.down_blocks)[:-1]:
        conv = block.downsamplers[0].conv
        _pass_through(conv, 0)
        known, room = features.shape[1], conv.weight.shape[0]
        patches = F.pixel_unshuffle(features, 2)
        basis, mean = _principal(patches, min(4 * known, room))
        count = len(basis)
        conv.weight[:count] = 0.0
        conv.weight[:count, :known, :2, :2] = basis.reshape(count, known, 2, 2)
        conv.bias[:count] = -(basis @ mean)
        padded = F.pad(features, (0, 1, 0, 1))
        features = F.conv2d(padded, conv.weight[:count, :known], conv.bias[:count], stride=2)
        levels.append(features)
    shortcut = encoder.down_blocks[-1].resnets[0].conv_shortcut
    _place(shortcut, encoder.conv_norm_out, features.shape[1])
    _through_norm(encoder.mid_block.resnets[-1], encoder.conv_norm_out, encoder.conv_out, latent)
    spread = levels[-1].std(dim=(0, 2, 3))[:latent]
    weight, bias = encoder.conv_out.weight, encoder.conv_out.bias
    weight[:latent] /= spread[:, None, None, None]
    bias[:latent] /= spread
    weight[latent:], bias[latent:] = 0.0, -6.0
    levels[-1] = levels[-1][:, :latent] / spread[:, None, None]
    return levels


def _principal(patches: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """First principal axes [count, D] and mean [D] of patches [N, D, H, W]."""
    rows = patches.movedim(1, -1).flatten(0, -2)
    mean = rows.mean(dim=0)
    values, axes = torch.linalg.eigh(torch.cov((rows - mean).T))
    order = values.argsort(descending=True)[:count]
    return axes[:, order].T, mean


def _through_norm(block: Any, norm: nn.GroupNorm, conv: Any, count: int) -> None:
    """Make norm, SiLU and conv copy the first `count` channels.

    Two channels of each group carry a constant +-CARRIER, so the group's deviation is known. The
    signal's channels must not be the carriers: these are the last two of every group.
    """
    channels, groups = norm.num_channels, norm.num_groups
    size = channels // groups
    places = _places(channels, groups)
    deviation = CARRIER * (2 / size) ** 0.5
    for group in range(groups):
        block.conv2.bias[(group + 1) * size - 2] = CARRIER
        block.conv2.bias[(group + 1) * size - 1] = -CARRIER
    nn.init.constant_(norm.weight, SLOPE * deviation)
    nn.init.constant_(norm.bias, BIAS)
    for group in range(groups):
        norm.weight[(group + 1) * size - 2 : (group + 1) * size] = 0.1
        norm.bias[(group + 1) * size - 2 : (group + 1) * size] = 0.0
    grid = torch.linspace(-1.5, 1.5, 301)
    response = F.silu(BIAS + SLOPE * grid)
    slope = float((grid * response).sum() / (grid * grid).sum())
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    for k in range(count):
        conv.weight[k, places[k], 1, 1] = 1 / slope
        conv.bias[k] = -float(response.mean()) / slope


def _place(shortcut: Any, norm: nn.GroupNorm, count: int) -> None:
    """Copy the first `count` channels to where `_through_norm` expects the signal."""
    _pass_through(shortcut, 0)
    for k, place in enumerate(_places(norm.num_channels, norm.num_groups)[:count]):
        shortcut.weight[place] = 0.0
        shortcut.weight[place, k] = 1.0


def _places(channels: int, groups: int) -> list[int]:
    size = channels // groups
    return [c for c in range(channels) if c % size < size - 2]


def _linear_decoder(codec: Codec, pictures: Tensor, levels: list[Tensor]) -> None:
    """Fill the decoder's linear path: each level is regressed on the one below it."""
    decoder, latent = codec.decoder, levels[-1].shape[1]
    _pass_through(decoder.conv_in, latent, noise=1.0)
    features = decoder.conv_in(levels[-1])
    for block, target in zip(list(decoder.up_blocks)[:-1], levels[-2::-1], strict=True):
        for resnet in block.resnets:
            features = resnet(features, None)
        conv = block.upsamplers[0].conv
        _pass_through(conv, 0, noise=1.0)
        scale = target.std(dim=(0, 2, 3), keepdim=True)
        large = F.interpolate(features, scale_factor=2.0, mode="nearest")
        solution = _regress(large, target / scale if target.shape[1] > 3 else target)
        count = min(target.shape[1], conv.weight.shape[0])
        conv.weight[:count] = solution[:count, :-1].reshape(count, -1, 3, 3)
        conv.bias[:count] = solution[:count, -1]
        features = conv(large)
    last = decoder.up_blocks[-1].resnets
    _place(last[0].conv_shortcut, decoder.conv_norm_out, 3)
    _through_norm(last[-1], decoder.conv_norm_out, decoder.conv_out, 3)


def _regress(inputs: Tensor, target: Tensor, ridge: float = 1e-3) -> Tensor:
    """Least-squares 3 x 3 filters [C_out, 9 C_in + 1] from inputs to target, both [N, C, H, W]."""
    unknowns = 9 * inputs.shape[1] + 1
    gram, cross = torch.zeros(unknowns, unknowns), torch.zeros(unknowns, target.shape[1])
    for x, y in zip(inputs.split(2), target.split(2), strict=True):
        rows = F.unfold(x, 3, padding=1).movedim(1, -1).flatten(0, 1)
        rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
        gram += rows.T @ rows
        cross += rows.T @ y.flatten(2).movedim(1, -1).flatten(0, 1)
    penalty = ridge * gram.diagonal().mean() * torch.eye(unknowns)
    return torch.linalg.solve(gram + penalty, cross).T
