"""StyleID written out plainly, pair by pair, as the paper's procedure is told.

It shares no code with the engine, so that it is a yardstick for its speed and a check of its
results. Every pair starts from scratch: the content is inverted, then the style, both in batches of
one with the features of every step kept, then the stylised latent is sampled. Attention itself is
the same fused function as the engine's: what is compared is the procedure, not the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

QKV = tuple[Tensor, Tensor, Tensor]
Hook = Callable[[int, QKV], tuple[QKV, float]]
"""(layer, its own Q, K, V) → what to attend with instead, and the temperature."""


class NaiveStyleID:
    """The paper's schedule on a UNet that predicts ε.

    Args:
        unet: diffusers `UNet2DConditionModel`.
        alphas_cumprod: ᾱ of each training timestep [T].
        null_embedding: the empty prompt's embedding [1, tokens, D].
        steps, gamma, temperature, layers: as in `StyleParams`.
    """

    def __init__(
        self,
        unet: Any,
        alphas_cumprod: Tensor,
        null_embedding: Tensor,
        steps: int = 50,
        gamma: float = 0.75,
        temperature: float = 1.5,
        layers: Sequence[int] = (6, 7, 8, 9, 10, 11),
    ) -> None:
        self.unet, self.null_embedding = unet, null_embedding
        self.alphas = alphas_cumprod.double().tolist()
        self.gamma, self.temperature, self.layers = gamma, temperature, layers
        stride = len(self.alphas) // steps
        self.tau = [1 + stride * i for i in range(steps)] + [len(self.alphas) - 1]
        self.evaluations = 0

    @torch.no_grad()
    def transfer(self, z_content: Tensor, z_style: Tensor) -> Tensor:
        """The stylised clean latent [1, C, h, w] of two clean latents [1, C, h, w]."""
        zc_T, content = self.invert(z_content)
        zs_T, style = self.invert(z_style)
        mean_c, std_c = zc_T.mean((2, 3), keepdim=True), zc_T.std((2, 3), keepdim=True)
        mean_s, std_s = zs_T.mean((2, 3), keepdim=True), zs_T.std((2, 3), keepdim=True)
        z = std_s * (zc_T - mean_c) / std_c + mean_s
        for i in range(len(self.tau) - 3, -1, -1):
            t = self.tau[i]
            q_c = {layer: content[layer, t][0] for layer in self.layers}
            kv_s = {layer: style[layer, t][1:] for layer in self.layers}

            def inject(layer: int, own: QKV, q_c: Any = q_c, kv_s: Any = kv_s) -> tuple[QKV, float]:
                q = self.gamma * q_c[layer] + (1 - self.gamma) * own[0]
                return (q, *kv_s[layer]), self.temperature

            eps = self._predict(z, t, inject)
            z = self._move(z, eps, self.alphas[t], self.alphas[self.tau[i - 1] if i else 0])
        return z

    def invert(self, z: Tensor) -> tuple[Tensor, dict[tuple[int, int], QKV]]:
        """z_T of a clean latent, and Q, K, V by (layer, timestep)."""
        kept: dict[tuple[int, int], QKV] = {}
        for t, after in zip(self.tau[:-1], self.tau[1:], strict=True):

            def keep(layer: int, own: QKV, t: int = t) -> tuple[QKV, float]:
                q, k, v = (x.clone() for x in own)
                kept[layer, t] = q, k, v
                return own, 1.0

            eps = self._predict(z, t, keep)
            z = self._move(z, eps, self.alphas[t], self.alphas[after])
        return z, kept

    def _predict(self, z: Tensor, t: int, hook: Hook) -> Tensor:
        own = dict(self.unet.attn_processors)
        taps = {self._processor(layer): _Attention(layer, hook) for layer in self.layers}
        self.unet.set_attn_processor({**own, **taps})
        eps = self.unet(z.to(self.unet.dtype), t, self.null_embedding, return_dict=False)[0]
        self.unet.set_attn_processor(own)
        self.evaluations += 1
        return eps.float()

    def _processor(self, layer: int) -> str:
        """The name of a layer's self-attention: three layers to each block of the decoder."""
        block, place = divmod(layer, 3)
        return f"up_blocks.{block}.attentions.{place}.transformer_blocks.0.attn1.processor"

    @staticmethod
    def _move(z: Tensor, eps: Tensor, a: float, b: float) -> Tensor:
        """DDIM from noise level a to b: √b·(z − √(1−a)·ε)/√a + √(1−b)·ε."""
        return b**0.5 * (z - (1 - a) ** 0.5 * eps) / a**0.5 + (1 - b) ** 0.5 * eps


class _Attention:
    """A self-attention layer that asks a hook what to attend with."""

    def __init__(self, layer: int, hook: Hook) -> None:
        self.layer, self.hook = layer, hook

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        def heads(projection: Any) -> Tensor:
            x = projection(hidden_states)
            return x.reshape(*x.shape[:2], attn.heads, -1).permute(0, 2, 1, 3)

        own = heads(attn.to_q), heads(attn.to_k), heads(attn.to_v)
        (q, k, v), temperature = self.hook(self.layer, own)
        out = scaled_dot_product_attention(q, k, v, scale=temperature * attn.scale)
        return attn.to_out[0](out.permute(0, 2, 1, 3).reshape(hidden_states.shape))
