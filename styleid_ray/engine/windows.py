"""A large latent cut into windows, and their noise blended.

As in MultiDiffusion (Bar-Tal et al. 2023), the windows of a picture are joined in each step, so
that they cannot drift apart. Latents that fit one window pass unchanged.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from styleid_ray.engine.styleid import Features, Injection
from styleid_ray.model.windows import Windows


def cut(windows: Windows, x: Tensor) -> list[Tensor]:
    """Windows [..., height, width] of x [..., h, w], or x itself if there is one. Windows are
    contiguous, so that a compiled UNet is not recompiled for each size of x."""
    if len(windows) == 1:
        return [x]
    height, width = windows.height, windows.width
    return [
        x[..., top : top + height, left : left + width].contiguous()
        for top, left in windows.corners
    ]


def blend(windows: Windows, parts: Sequence[Tensor]) -> Tensor:
    """The latent [B, C, h, w] of its windows; weights fall towards their edges to hide these."""
    if len(windows) == 1:
        return parts[0]
    first = parts[0]
    shape = windows.tops[-1] + windows.height, windows.lefts[-1] + windows.width
    total, weights = first.new_zeros(*first.shape[:-2], *shape), first.new_zeros(shape)
    weight = (_bell(windows.height)[:, None] * _bell(windows.width)).to(first)
    for part, (top, left) in zip(parts, windows.corners, strict=True):
        at = ..., slice(top, top + windows.height), slice(left, left + windows.width)
        total[at] += part * weight
        weights[at] += weight
    return total / weights


def _bell(length: int) -> Tensor:
    """Weights of a window's positions, rising from its edges to its middle."""
    at = torch.arange(length, dtype=torch.float32) + 0.5
    return torch.sin(torch.pi * at / length) ** 2


def stack_windows(parts: Sequence[Features]) -> Features:
    """Features [B, windows, heads, tokens, d] of several windows; features of one unchanged."""
    if len(parts) == 1:
        return parts[0]
    return {key: torch.stack([part[key] for part in parts], 1) for key in parts[0]}


def joined_tokens(x: Tensor) -> Tensor:
    """Features [B, heads, tokens of all windows, d], of several windows or one."""
    return x.transpose(1, 2).flatten(2, 3) if x.ndim == 5 else x


def of_window(injection: Injection | None, i: int, windows: Windows) -> Injection | None:
    """The part of an injection for window i: the content's features there, and the styles', which
    are the same for all windows."""
    if injection is None or len(windows) == 1:
        return injection
    content = {key: x[:, i].contiguous() for key, x in injection.content.items()}
    shares = injection.shares
    if shares is not None:
        shares = {layer: x[:, :, i].contiguous() for layer, x in shares.items()}
    return replace(injection, content=content, shares=shares)
