"""Reading and replacing Q, K, V in the decoder's self-attention of a diffusers UNet.

Layers are numbered as in the paper: 0-2 are the decoder's first block, 3-5 the second and so on;
layer l is `up_blocks[l // 3].attentions[l % 3]` in Stable Diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from styleid_ray.errors import ConfigError


@dataclass(frozen=True)
class QKV:
    """Queries, keys and values of one self-attention layer, each [B, heads, tokens, d]."""

    q: Tensor
    k: Tensor
    v: Tensor


Attend = Callable[[int, QKV, float], Tensor]
"""(layer, qkv, scale 1/√d) → attention output [B, heads, tokens, d]."""


def attend(layer: int, qkv: QKV, scale: float) -> Tensor:
    """Plain attention softmax(scale · Q Kᵀ) V, no matrix of tokens × tokens in memory."""
    return scaled_dot_product_attention(qkv.q, qkv.k, qkv.v, scale=scale)


class SelfAttentionTap:
    """Stands in for diffusers' own attention processor at one layer.

    It computes the layer's Q, K and V as diffusers does and leaves the attention itself to
    `tap.attend`, which may record them or put others in their place.
    """

    def __init__(self, layer: int, tap: Tap) -> None:
        self.layer = layer
        self.tap = tap

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        qkv = QKV(*(heads(to(hidden_states)) for to in (attn.to_q, attn.to_k, attn.to_v)))
        out = self.tap.attend(self.layer, qkv, attn.scale)
        out = out.transpose(1, 2).flatten(2).to(hidden_states.dtype)
        return attn.to_out[1](attn.to_out[0](out))


class Tap:
    """What the tapped layers do now; set `attend` between UNet calls."""

    def __init__(self) -> None:
        self.attend: Attend = attend


def decoder_layers(unet: nn.Module) -> dict[int, str]:
    """Layer number → name of its attention processor, for each decoder self-attention layer."""
    names = {}
    for i, block in enumerate(unet.up_blocks):  # pyright: ignore[reportArgumentType]
        depth = len(block.resnets)
        for j in range(len(getattr(block, "attentions", ()))):
            path = f"up_blocks.{i}.attentions.{j}.transformer_blocks.0.attn1.processor"
            names[i * depth + j] = path
    return names


def check_layers(unet: nn.Module, layers: Sequence[int]) -> None:
    """Raises ConfigError when the UNet lacks one of the layers."""
    there = decoder_layers(unet)
    missing = [layer for layer in layers if layer not in there]
    if missing:
        raise ConfigError(
            f"layers {missing} are not decoder self-attention layers of this UNet; "
            f"it has {sorted(there)}"
        )


@contextmanager
def tapped(unet: Any, layers: Sequence[int]) -> Iterator[Tap]:
    """Inside the block the given layers' self-attention goes through the tap that is yielded.

    The UNet's own processors are put back at the end, also after an exception.
    """
    check_layers(unet, layers)
    own = dict(unet.attn_processors)
    names = decoder_layers(unet)
    tap = Tap()
    taps = {names[layer]: SelfAttentionTap(layer, tap) for layer in layers}
    try:
        unet.set_attn_processor({**own, **taps})
        yield tap
    finally:
        unet.set_attn_processor(own.copy())


def attend_in_groups(
    q: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    sizes: Sequence[int],
    scales: Sequence[float],
) -> Tensor:
    """Attention of runs of consecutive rows of Q that share one set of keys and values.

    Row i of `q` [P, heads, N, d] belongs to the run that covers it; run g has `sizes[g]` rows,
    `keys[g]` and `values[g]` [heads, M, d] and `scales[g]`. A query's output does not depend on the
    other queries, so a run's rows are laid one after the other along the token axis: K and V are
    never copied for each row.
    """
    outs = []
    for rows, k, v, scale in zip(q.split(list(sizes)), keys, values, scales, strict=True):
        tokens = rows.transpose(0, 1).flatten(1, 2)[None]
        out = scaled_dot_product_attention(tokens, k[None], v[None], scale=scale)
        outs.append(out[0].unflatten(1, (len(rows), -1)).transpose(0, 1))
    return torch.cat(outs)
