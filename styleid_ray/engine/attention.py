"""Reading and replacing Q, K, V in the attention of a diffusers UNet.

Decoder self-attention layers are numbered as in the paper: 0-2 are the decoder's first block, 3-5
the second and so on; layer l is `up_blocks[l // 3].attentions[l % 3]` in Stable Diffusion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from styleid_ray.engine.styleid import Injection, inject, share_out
from styleid_ray.errors import ConfigError


@dataclass
class Tap:
    """Tells the tapped layers what to do in the next UNet call; nothing of it is code, so that a
    compiled UNet stays as it is from step to step."""

    injection: Injection | None = None
    """Features to inject, if any."""
    recorded: dict[tuple[str, int], Tensor] | None = None
    """Where each layer puts its Q, K and V, if anywhere."""
    watched: int | None = None
    """Layer that leaves its own Q in each call with an injection, if any."""
    queries: Tensor | None = None
    """Q_cs of that layer in the latest such call, [B, heads, tokens, d], before the blend."""


@dataclass
class TappedSelfAttention:
    """Stands in for diffusers' own processor in one decoder self-attention layer."""

    layer: int
    tap: Tap

    def __call__(self, attn: Any, hidden_states: Tensor, **unused: Any) -> Tensor:
        q = split_heads(attn.to_q(hidden_states), attn.heads)
        injection, layer = self.tap.injection, self.layer
        if injection is not None:
            if layer == self.tap.watched:
                self.tap.queries = q
            out = self._injected(q, injection)
        else:
            k = split_heads(attn.to_k(hidden_states), attn.heads)
            v = split_heads(attn.to_v(hidden_states), attn.heads)
            out = scaled_dot_product_attention(q, k, v)
            if self.tap.recorded is not None:
                self.tap.recorded |= {("q", layer): q, ("k", layer): k, ("v", layer): v}
        return project_out(attn, out)

    def _injected(self, q: Tensor, injection: Injection) -> Tensor:
        """Attention to the keys and values of the styles."""
        layer, bias, shares = self.layer, injection.bias, injection.shares
        injected = [
            inject(
                q,
                injection.content["q", layer],
                style["k", layer],
                style["v", layer],
                injection.gamma[layer],
                injection.temperature[layer],
                None if bias is None else bias[layer],
            )
            for style in injection.styles
        ]
        return injected[0] if shares is None else share_out(injected, shares[layer])


class PromptAttention:
    """Stands in for diffusers' own processor in one cross-attention layer.

    Keys and values of the prompt are the same for each latent and step: they are computed once.

    Args:
        attn: the layer.
        prompt: embedding [1, tokens, D].
    """

    def __init__(self, attn: Any, prompt: Tensor) -> None:
        self.k = split_heads(attn.to_k(prompt), attn.heads)
        self.v = split_heads(attn.to_v(prompt), attn.heads)

    def __call__(self, attn: Any, hidden_states: Tensor, **unused: Any) -> Tensor:
        q = split_heads(attn.to_q(hidden_states), attn.heads)
        # Copies, small ones: not every attention kernel reads rows that share their memory.
        k, v = (x.repeat(len(q), 1, 1, 1) for x in (self.k, self.v))
        return project_out(attn, scaled_dot_product_attention(q, k, v))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, tokens, heads · d] to [B, heads, tokens, d]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def project_out(attn: Any, out: Tensor) -> Tensor:
    """A layer's output of what its heads attended to, [B, heads, tokens, d]."""
    return attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))


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
    existing = decoder_layers(unet)
    missing = [layer for layer in layers if layer not in existing]
    if missing:
        raise ConfigError(
            f"layers {missing} are not decoder self-attention layers of this UNet; "
            f"it has {sorted(existing)}"
        )


@contextmanager
def tapped(
    unet: Any, layers: Sequence[int], prompt: Tensor, watched: int | None = None
) -> Iterator[Tap]:
    """Inside the block the given layers' self-attention goes through the tap that is yielded, and
    cross-attention reads the prompt, embedding [1, tokens, D], whatever embedding a call names.
    One of the layers may be watched.

    The UNet's own processors are put back at the end, also after an exception.
    """
    check_layers(unet, layers)
    names, tap = decoder_layers(unet), Tap(watched=watched)
    taps: dict[str, Any] = {names[layer]: TappedSelfAttention(layer, tap) for layer in layers}
    for name in unet.attn_processors:
        attn = unet.get_submodule(name.removesuffix(".processor"))
        if attn.is_cross_attention:
            taps[name] = PromptAttention(attn, prompt)
    with replaced(unet, taps):
        yield tap


@contextmanager
def replaced(unet: Any, processors: Mapping[str, Any]) -> Iterator[None]:
    """Inside the block these attention processors stand in for the UNet's own, by their names."""
    own = dict(unet.attn_processors)
    try:
        unet.set_attn_processor({**own, **processors})
        yield
    finally:
        unet.set_attn_processor(own.copy())
