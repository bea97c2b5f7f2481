"""StyleID written out plainly, pair by pair, as the paper's procedure is told.

It shares no code with the engine, so that it is a yardstick for its speed and a check of its
results. Every pair starts from scratch: the content is inverted, then the style, both in batches of
one with the features of every step kept, then the stylised latent is sampled. Attention itself is
the same fused function as the engine's: what is compared is the procedure, not the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

QKV = tuple[Tensor, Tensor, Tensor]
Hook = Callable[[int, QKV], tuple[QKV, float]]
"""(layer, its own Q, K, V) → what to attend with instead, and the temperature."""
Moves = list[tuple[int, float, float]]
"""(timestep that the UNet is asked at, noise level before, noise level after), in order."""


class NaiveStyleID:
    """The procedure on any of diffusers' UNets for latents.

    Args:
        unet: diffusers `UNet2DConditionModel` or `UNet2DModel`.
        alphas_cumprod: ᾱ of each training timestep [T].
        null_embedding: the empty prompt's embedding [1, tokens, D]; None of a model without text.
        steps, gamma, temperature, layers, preset: as in `StyleParams`.
        prediction_type: "epsilon" or "v_prediction".
        pooled_embedding: the empty prompt's pooled embedding [1, P], for a UNet that also takes
            the picture's size.
        vae_factor: pixels per side of a latent position.
        final_alpha: noise level that the diffusers preset ends at; ᾱ[0] when None.
    """

    def __init__(
        self,
        unet: Any,
        alphas_cumprod: Tensor,
        null_embedding: Tensor | None,
        steps: int = 50,
        gamma: float = 0.75,
        temperature: float = 1.5,
        layers: Sequence[int] = (6, 7, 8, 9, 10, 11),
        preset: Literal["paper", "diffusers"] = "paper",
        prediction_type: str = "epsilon",
        pooled_embedding: Tensor | None = None,
        vae_factor: int = 8,
        final_alpha: float | None = None,
    ) -> None:
        self.unet, self.null_embedding = unet, null_embedding
        self.pooled_embedding, self.vae_factor = pooled_embedding, vae_factor
        self.prediction_type, self.preset = prediction_type, preset
        self.gamma, self.temperature, self.layers = gamma, temperature, layers
        self.attention = dict(enumerate_attention(unet))
        alphas = alphas_cumprod.double().tolist()
        if preset == "paper":
            self.inversion, self.sampling = paper_moves(alphas, steps)
        else:
            last = alphas[0] if final_alpha is None else final_alpha
            self.inversion, self.sampling = diffusers_moves(alphas, steps, last)
        self.evaluations = 0

    @classmethod
    def of(cls, parts: Mapping[str, Any], **options: Any) -> NaiveStyleID:
        """The procedure on a model's parts, as `StyleIDPipeline` takes them. Options are steps,
        gamma, temperature, layers and preset."""
        unet, scheduler = parts["unet"], parts["scheduler"]
        prompt, pooled = (
            x if x is None else x.to(unet.device, unet.dtype)
            for x in (parts["null_embedding"], parts["pooled_embedding"])
        )
        return cls(
            unet,
            scheduler.alphas_cumprod,
            prompt,
            pooled_embedding=pooled,
            prediction_type=scheduler.config.prediction_type,
            vae_factor=2 ** (len(parts["vae"].config.block_out_channels) - 1),
            final_alpha=float(scheduler.final_alpha_cumprod),
            **options,
        )

    @torch.no_grad()
    def transfer(self, z_content: Tensor, z_style: Tensor) -> Tensor:
        """The stylised clean latent [1, C, h, w] of two clean latents [1, C, h', w']."""
        zc_T, content = self.invert(z_content)
        zs_T, style = self.invert(z_style)
        mean_c, std_c = zc_T.mean((2, 3), keepdim=True), zc_T.std((2, 3), keepdim=True)
        mean_s, std_s = zs_T.mean((2, 3), keepdim=True), zs_T.std((2, 3), keepdim=True)
        floor = 0.0 if self.preset == "paper" else 1e-4
        z = z_0 = std_s * (zc_T - mean_c) / (std_c + floor) + mean_s
        for t, before, after in self.sampling:
            q_c = {layer: content[layer, t][0] for layer in self.layers}
            kv_s = {layer: style[layer, t][1:] for layer in self.layers}

            def inject(layer: int, own: QKV, q_c: Any = q_c, kv_s: Any = kv_s) -> tuple[QKV, float]:
                q = self.gamma * q_c[layer] + (1 - self.gamma) * own[0]
                return (q, *kv_s[layer]), self.temperature

            z_0, eps = self._predict(z, t, before, inject)
            z = after**0.5 * z_0 + (1 - after) ** 0.5 * eps
        return z if self.preset == "paper" else z_0

    def invert(self, z: Tensor) -> tuple[Tensor, dict[tuple[int, int], QKV]]:
        """z_T of a clean latent, and Q, K, V by (layer, timestep)."""
        kept: dict[tuple[int, int], QKV] = {}
        for t, before, after in self.inversion:

            def keep(layer: int, own: QKV, t: int = t) -> tuple[QKV, float]:
                q, k, v = (x.clone() for x in own)
                kept[layer, t] = q, k, v
                return own, 1.0

            z_0, eps = self._predict(z, t, before, keep)
            z = after**0.5 * z_0 + (1 - after) ** 0.5 * eps
        return z, kept

    def _predict(self, z: Tensor, t: int, level: float, hook: Hook) -> tuple[Tensor, Tensor]:
        """z_0 and ε that the UNet sees in a latent of a noise level, asked at a timestep."""
        modules = {layer: self.attention[layer] for layer in self.layers}
        own = {layer: module.processor for layer, module in modules.items()}
        for layer, module in modules.items():
            module.processor = _Attention(layer, hook)
        out = self.unet(z.to(self.unet.dtype), t, **self.conditions(z), return_dict=False)[0]
        for layer, module in modules.items():
            module.processor = own[layer]
        self.evaluations += 1
        out = out.float()
        if self.prediction_type == "v_prediction":
            z_0 = level**0.5 * z - (1 - level) ** 0.5 * out
            return z_0, level**0.5 * out + (1 - level) ** 0.5 * z
        return (z - (1 - level) ** 0.5 * out) / level**0.5, out

    def conditions(self, z: Tensor) -> dict[str, Any]:
        """What else the UNet is called with for latents [B, C, h, w]."""
        if self.null_embedding is None:
            # One of the two classes has the argument and does without a value.
            takes_text = type(self.unet).__name__ == "UNet2DConditionModel"
            return {"encoder_hidden_states": None} if takes_text else {}
        rows = len(z)
        given: dict[str, Any] = {"encoder_hidden_states": self.null_embedding.expand(rows, -1, -1)}
        if self.pooled_embedding is not None:
            size = [side * self.vae_factor for side in z.shape[-2:]]
            times = self.pooled_embedding.new_tensor([[*size, 0, 0, *size]]).expand(rows, -1)
            pooled = self.pooled_embedding.expand(rows, -1)
            given["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": times}
        return given


def paper_moves(alphas: Sequence[float], steps: int) -> tuple[Moves, Moves]:
    """Inversion and sampling of the code behind the paper: τ_i = 1 + c·i, and the last timestep at
    the end; sampling leaves out the first step."""
    stride = len(alphas) // steps
    tau = [1 + stride * i for i in range(steps)] + [len(alphas) - 1]
    inversion = [(tau[i], alphas[tau[i]], alphas[tau[i + 1]]) for i in range(steps)]
    sampling = [
        (tau[i], alphas[tau[i]], alphas[tau[i - 1]] if i else alphas[0])
        for i in reversed(range(steps - 1))
    ]
    return inversion, sampling


def diffusers_moves(alphas: Sequence[float], steps: int, last: float) -> tuple[Moves, Moves]:
    """Inversion and sampling of the authors' diffusers port: in inversion the latent is one stride
    less noisy than the UNet is told."""
    stride = len(alphas) // steps
    times = [1 + stride * i for i in range(steps)]
    inversion = [(t, alphas[max(0, t - stride)], alphas[t]) for t in times]
    sampling = [
        (t, alphas[t], alphas[t - stride] if t >= stride else last) for t in reversed(times)
    ]
    return inversion, sampling


def enumerate_attention(unet: Any) -> Iterator[tuple[int, Any]]:
    """(number, module) of the decoder's self-attention layers.

    Each residual block counts once, or once for each of the transformer blocks that follow it.
    """
    number = 0
    for block in unet.up_blocks:
        followers = getattr(block, "attentions", [None] * len(block.resnets))
        for follower in followers:
            inner = getattr(follower, "transformer_blocks", None)
            modules = [follower] if inner is None else [x.attn1 for x in inner]
            for module in modules:
                if module is not None:
                    yield number, module
                number += 1


class _Attention:
    """A self-attention layer that asks a hook what to attend with."""

    def __init__(self, layer: int, hook: Hook) -> None:
        self.layer, self.hook = layer, hook

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        if hidden_states.ndim == 3:
            return self._attend(attn, hidden_states)
        # It stands alone: norm and skip connection are its own.
        positions = attn.group_norm(hidden_states).flatten(2).transpose(1, 2)
        out = self._attend(attn, positions).transpose(1, 2).reshape(hidden_states.shape)
        return (out + hidden_states) / attn.rescale_output_factor

    def _attend(self, attn: Any, x: Tensor) -> Tensor:
        def heads(projection: Any) -> Tensor:
            y = projection(x)
            return y.reshape(*y.shape[:2], attn.heads, -1).permute(0, 2, 1, 3)

        own = heads(attn.to_q), heads(attn.to_k), heads(attn.to_v)
        (q, k, v), temperature = self.hook(self.layer, own)
        out = scaled_dot_product_attention(q, k, v, scale=temperature * attn.scale)
        return attn.to_out[0](out.permute(0, 2, 1, 3).reshape(x.shape))
