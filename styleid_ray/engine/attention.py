"""Reading and replacing Q, K, V in the attention of a diffusers UNet."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from styleid_ray.engine.styleid import Injection, inject, share_out


@dataclass
class Tap:
    """Instructions to the tapped layers for the next UNet call: data alone, so that a compiled UNet
    stays the same from step to step."""

    injection: Injection | None = None
    """Features to inject, if any."""
    recorded: dict[tuple[str, int], Tensor] | None = None
    """Receives each layer's Q, K and V, if anything does."""
    watched: int | None = None
    """Layer that leaves its own Q in each call with an injection, if any."""
    queries: Tensor | None = None
    """The watched layer's Q_cs in the latest such call, before the blend [B, heads, tokens, d]."""


@dataclass
class TappedSelfAttention:
    """Replaces diffusers' processor in one decoder self-attention layer."""

    layer: int
    tap: Tap

    def __call__(self, attn: Any, hidden_states: Tensor, *unused: Any, **ignored: Any) -> Tensor:
        tokens = as_tokens(attn, hidden_states)
        q = split_heads(attn.to_q(tokens), attn.heads)
        injection, layer = self.tap.injection, self.layer
        if injection is not None:
            if layer == self.tap.watched:
                self.tap.queries = q
            out = self._injected(q, injection)
        else:
            k = split_heads(attn.to_k(tokens), attn.heads)
            v = split_heads(attn.to_v(tokens), attn.heads)
            out = scaled_dot_product_attention(q, k, v)
            if self.tap.recorded is not None:
                self.tap.recorded |= {("q", layer): q, ("k", layer): k, ("v", layer): v}
        out = project_out(attn, out)
        return out if hidden_states.ndim == 3 else joined_to_input(attn, out, hidden_states)

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
    """Replaces diffusers' processor in one cross-attention layer.

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
        # Small copies: not every attention kernel reads rows that share their memory.
        k, v = (x.repeat(len(q), 1, 1, 1) for x in (self.k, self.v))
        return project_out(attn, scaled_dot_product_attention(q, k, v))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, tokens, heads · d] to [B, heads, tokens, d]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def project_out(attn: Any, out: Tensor) -> Tensor:
    """A layer's output from the results of its heads, [B, heads, tokens, d]."""
    return attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))


def as_tokens(attn: Any, x: Tensor) -> Tensor:
    """Tokens [B, tokens, C] that a self-attention projects: its input, or in a layer without a
    transformer the normalised positions of its input [B, C, h, w]."""
    if x.ndim == 3:
        return x
    x = x.flatten(2)
    return (x if attn.group_norm is None else attn.group_norm(x)).transpose(1, 2)


def joined_to_input(attn: Any, out: Tensor, x: Tensor) -> Tensor:
    """Output [B, C, h, w] of a layer without a transformer: `out` [B, tokens, C] added to its input
    x."""
    out = out.transpose(1, 2).reshape(x.shape)
    return (out + x if attn.residual_connection else out) / attn.rescale_output_factor


@contextmanager
def tapped(
    unet: Any, layers: Mapping[int, str], prompt: Tensor | None, watched: int | None = None
) -> Iterator[Tap]:
    """Inside the block self-attention of some layers goes through the yielded tap, and
    cross-attention reads the prompt, whatever embedding a call passes.

    The UNet's own processors are restored at the end, also after an exception.

    Args:
        unet: diffusers UNet.
        layers: numbers of the layers, and the paths of their modules.
        prompt: embedding [1, tokens, D]; None of a model without text.
        watched: one of the layers, whose queries the tap keeps.
    """
    tap = Tap(watched=watched)
    taps: dict[str, Any] = {path: TappedSelfAttention(n, tap) for n, path in layers.items()}
    if prompt is not None:
        for path, attn in attentions(unet).items():
            if attn.is_cross_attention:
                taps[path] = PromptAttention(attn, prompt)
    with replaced(unet, taps):
        yield tap


def attentions(unet: Any) -> dict[str, Any]:
    """The attention modules of a UNet by their paths."""
    return {path: x for path, x in unet.named_modules() if hasattr(x, "set_processor")}


@contextmanager
def replaced(unet: Any, processors: Mapping[str, Any]) -> Iterator[None]:
    """Inside the block these attention processors, by paths of modules, replace the UNet's own."""
    own = {path: unet.get_submodule(path).processor for path in processors}
    try:
        for path, processor in processors.items():
            unet.get_submodule(path).set_processor(processor)
        yield
    finally:
        for path, processor in own.items():
            unet.get_submodule(path).set_processor(processor)
