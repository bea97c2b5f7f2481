"""Training of the UNet: predict the noise, in pictures and in pictures that borrow a style.

A model this small does not learn by itself to carry a picture's look in its self-attention. So a
third of every batch is denoised the way StyleID samples: queries blended with those of a content,
keys and values of a painting, temperature up; its target is the content painted in that look, the
more so the lower gamma and the higher the temperature. The other two thirds, the contents and the
paintings, are ordinary diffusion training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from demo_model.trainer import Precision, Schedule, Trainer
from demo_model.unet import Denoiser, build_scheduler
from styleid_ray.engine.attention import project_out, replaced, split_heads
from styleid_ray.model.description import describe

INJECTED_LAYERS = tuple(range(6, 12))


@dataclass(frozen=True)
class UNetSchedule(Schedule):
    """How to train the UNet: on crops (triples per step, side in latents), one kind after
    another."""

    steps: int = 3000
    learning_rate: float = 8e-4
    ema: float = 0.998
    warmup: int = 100
    final_rate: float = 0.02
    crops: tuple[tuple[int, int], ...] = ((16, 16), (16, 16), (16, 16), (7, 24), (4, 32))
    loss_weight_cap: float = 6.0


class MixtureAttention:
    """Attention processor for a batch [contents, styles, mixtures] whose mixtures attend as in
    StyleID. gamma and temperature are those of each mixture, [n, 1, 1, 1]."""

    def __init__(self, gamma: Tensor, temperature: Tensor) -> None:
        self.gamma, self.temperature = gamma, temperature

    def __call__(self, attn: Any, hidden_states: Tensor, **unused: Any) -> Tensor:
        layers = attn.to_q, attn.to_k, attn.to_v
        q, k, v = (split_heads(to(hidden_states), attn.heads) for to in layers)
        return project_out(attn, self.attend(q, k, v, attn.scale))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attention of queries, keys and values [3n, heads, tokens, d]."""
        n = len(q) // 3
        mixed = self.gamma * q[:n] + (1.0 - self.gamma) * q[2 * n :]
        q = torch.cat([q[: 2 * n] * scale, (mixed * (scale * self.temperature)).to(q.dtype)])
        k = torch.cat([k[: 2 * n], k[n : 2 * n]])
        v = torch.cat([v[: 2 * n], v[n : 2 * n]])
        # On CPUs the fused attention's backward pass is several times slower than this.
        return (q @ k.transpose(-1, -2)).softmax(dim=-1).to(v.dtype) @ v


def style_strength(gamma: Tensor, temperature: Tensor) -> Tensor:
    """How far a mixture's target lies from the content (0) toward its painted copy (1).

    0.85 at StyleID's defaults; less where gamma keeps more of the content's queries or a low
    temperature blurs the style's values.
    """
    strength = 0.85 + 0.7 * (0.75 - gamma) + 0.5 * (temperature - 1.5)
    return strength.clamp(0.3, 1.2)


def noised(
    triples: Tensor, a: Tensor, s: Tensor, strength: Tensor, drift: Tensor
) -> tuple[Tensor, Tensor]:
    """Noisy latents and the noise to predict, both [3n, C, h, w], of triples [3, n, C, h, w].

    a = sqrt(alpha_bar), s = sqrt(1 - alpha_bar), each [n, 1, 1, 1] like the rest. A mixture's
    target y is content + strength (painted content - content). The mixture starts with the
    content's noise and, by `drift` in [0, 1], still shows the content; its target noise is the one
    that leads to y: eps' = (x_t - a y) / s.
    """
    content, style, painted = triples
    target = content + strength * (painted - content)
    noise, other = torch.randn_like(content), torch.randn_like(style)
    # Never ask for a correction larger than the noise itself.
    drift = drift * (s / a).clamp(max=1.0)
    mixture = a * (target + drift * (content - target)) + s * noise
    x_t = torch.cat([a * content + s * noise, a * style + s * other, mixture])
    return x_t, torch.cat([noise, other, (mixture - a * target) / s])


class UNetTrainer(Trainer[Denoiser]):
    """State of the UNet's training."""

    name = "unet"
    schedule: UNetSchedule

    def __init__(self, denoiser: Denoiser, schedule: UNetSchedule, seed: int) -> None:
        denoiser.unet.set_attn_processor(AttnProcessor())
        super().__init__(denoiser, schedule, losses=3, weight_decay=0.01, fused=True)
        self.alphas = build_scheduler().alphas_cumprod.to(self.device)
        torch.manual_seed(seed)

    def train_step(self, triples: Tensor, precision: Precision) -> float:
        """One step on latents [3, n, C, h, w]; returns the weighted loss."""
        triples = triples.to(self.device)
        n = triples.shape[1]
        t = ((torch.arange(n) + torch.rand(n)) / n * 1000).long().clamp(0, 999).to(self.device)
        alpha = self.alphas[t].view(n, 1, 1, 1)
        # In sampling the mixture starts as the content and keeps traces of it.
        drift = torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5)
        gamma = torch.where(torch.rand(n) < 0.3, 0.75, torch.rand(n)).view(n, 1, 1, 1)
        temperature = torch.where(torch.rand(n) < 0.4, 1.5, 0.8 + torch.rand(n)).view(n, 1, 1, 1)
        gamma, temperature = gamma.to(self.device), temperature.to(self.device)
        x_t, noise = noised(
            triples,
            alpha.sqrt(),
            (1 - alpha).sqrt(),
            style_strength(gamma, temperature),
            drift.to(self.device),
        )
        sites = describe(self.model.unet.config).sites
        mixture = MixtureAttention(gamma, temperature)
        mixtures = {sites[layer].name: mixture for layer in INJECTED_LAYERS}
        with precision(), replaced(self.model.unet, mixtures):
            predicted = self.model(x_t, t.repeat(3)).float()
        error = (predicted - noise).square().mean(dim=(1, 2, 3)).view(3, n)
        weight = (1 / alpha.flatten()).clamp(max=self.schedule.loss_weight_cap)
        loss = (error * weight).mean() / weight.mean()
        return self.descend(loss, error.detach().mean(dim=1).tolist())
