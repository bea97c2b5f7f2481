"""StyleID on one page: Chung, Hyun, Heo, "Style Injection in Diffusion", CVPR 2024.

A content image and a style image are inverted to noise by DDIM, and the queries, keys and values of
the decoder's self-attention are kept at each step (`invert`). The stylised image is sampled from
the content's noise with the style's statistics (`adain`), while the style's keys and values and a
share of the content's queries replace its own in these layers (`stylise`).

Symbols are the paper's: z_0 a clean latent, z_T its noise, Q, K, V the attention features of
content (c), style (s) and stylised image (cs), γ query preservation, τ attention temperature. A
step takes a latent from noise level a to b; both are ᾱ. All functions work on a batch.

Beyond the paper, several styles may share an image, and parts of it may follow the content: see
`Injection.shares` and `Protection`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from styleid_ray.engine.schedule import Step

Features = Mapping[tuple[str, int], Tensor]
"""("q", "k" or "v", layer) → [B, heads, tokens, d]; of a content that the model sees in windows
[B, windows, heads, tokens, d]."""


LOW_FREQUENCY = 0.125
"""Cycles per latent position: 64 pixels per cycle in Stable Diffusion."""


@dataclass(frozen=True)
class Injection:
    """Features that replace those of the stylised latents in one step."""

    content: Features
    """Q_c of each injected layer."""
    styles: Sequence[Features]
    """K_s and V_s of each injected layer, per style; several styles only with `shares`."""
    gamma: Mapping[int, Tensor]
    """γ of each layer [B, 1, 1, 1], in [0, 1]."""
    temperature: Mapping[int, Tensor]
    """τ of each layer [B, 1, 1, 1], above 0."""
    shares: Mapping[int, Tensor] | None = None
    """Each style's share of each position, [styles, B, 1, tokens, 1] of each layer, of sum 1."""
    bias: Mapping[int, Tensor] | None = None
    """Added to the logits of each key [B, 1, 1, tokens of all styles] where the K and V of several
    styles are concatenated: the log of the style's weight, per layer."""


@dataclass(frozen=True)
class Protection:
    """The regions where sampling follows the content instead of the model."""

    strength: Tensor
    """[B, 1, h, w]: 1 is stylised, 0 is the content."""
    path: Callable[[int], Tensor]
    """The content's latents [B, C, h, w] at the noise level that sampling step i ends at."""

    def __call__(self, i: int, z: Tensor) -> Tensor:
        """z with the content's latents in protected regions."""
        return torch.lerp(self.path(i), z, self.strength)


class Denoise(Protocol):
    """The diffusion model as a noise predictor ε(z, t), for latents [B, C, h, w]."""

    def __call__(self, z: Tensor, step: Step, injection: Injection | None = None) -> Tensor:
        """ε [B, C, h, w], with `inject` in place of self-attention if there is an injection."""
        ...

    def record(self, z: Tensor, step: Step) -> tuple[Tensor, Features]:
        """ε, and Q, K and V of the decoder's self-attention."""
        ...


def invert(
    denoise: Denoise,
    z_0: Tensor,
    steps: Sequence[Step],
    keep: Callable[[int, Features], None] | None = None,
    passed: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """z_T of z_0 by DDIM inversion (section 3.1).

    `keep(i, features)` gets the features of step i, `passed(i, z)` the latents before it.
    """
    z = z_0
    for i, step in enumerate(steps):
        if passed:
            passed(i, z)
        if keep:
            eps, features = denoise.record(z, step)
            keep(i, features)
        else:
            eps = denoise(z, step)
        z = move(predict_z0(z, eps, step.a), eps, step.b)
    return z


def stylise(
    denoise: Denoise,
    z: Tensor,
    steps: Sequence[Step],
    injections: Iterable[Injection | None],
    seen: Callable[[Step, Tensor, Tensor], None] | None = None,
    protect: Protection | None = None,
) -> tuple[Tensor, Tensor]:
    """The stylised latent of an initial one (section 3.4: `adain` of the noise of content and
    style), by DDIM with one injection per step (3.2 and 3.3).

    Returns the last latent and the z_0 that the last step predicted. `seen(step, z, z_0)` gets both
    after each step.
    """
    z_0 = z
    for i, (step, injection) in enumerate(zip(steps, injections, strict=True)):
        eps = denoise(z, step, injection)
        z_0 = predict_z0(z, eps, step.a)
        z = move(z_0, eps, step.b)
        if protect:
            z = protect(i, z)
        if seen:
            seen(step, z, z_0)
    return z, protect(len(steps) - 1, z_0) if protect else z_0


def inject(
    q_cs: Tensor,
    q_c: Tensor,
    k_s: Tensor,
    v_s: Tensor,
    gamma: Tensor,
    temperature: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """Attention-based style injection (sections 3.2 and 3.3, eq. 4-7).

    Q = γ·Q_c + (1 − γ)·Q_cs and softmax(τ·Q·K_sᵀ / √d + bias)·V_s. All features are
    [B, heads, tokens, d]; the style may differ in its number of tokens. The bias
    (`Injection.bias`) adds to the logits.
    """
    q = torch.lerp(q_cs, q_c, gamma)
    return scaled_dot_product_attention(temperature * q, k_s, v_s, attn_mask=bias)


def share_out(injected: Sequence[Tensor], shares: Tensor) -> Tensor:
    """Each position's mean of the styles' `inject`, [B, heads, tokens, d], by
    `Injection.shares`."""
    return torch.stack(list(injected)).mul(shares).sum(0)


def adain(z_c: Tensor, z_s: Tensor, floor: float = 0.0) -> Tensor:
    """Initial latent AdaIN (eq. 8): σ(z_s)·(z_c − μ(z_c)) / (σ(z_c) + floor) + μ(z_s).

    Mean and unbiased standard deviation per image and channel; z_s may differ in height and width.
    The paper's code has floor = 0, the authors' diffusers port 1e-4.
    """
    mu_c, sigma_c = z_c.mean((2, 3), keepdim=True), z_c.std((2, 3), keepdim=True)
    mu_s, sigma_s = z_s.mean((2, 3), keepdim=True), z_s.std((2, 3), keepdim=True)
    return sigma_s * (z_c - mu_c) / (sigma_c + floor) + mu_s


def scale_low_frequencies(z: Tensor, factor: float) -> Tensor:
    """z_T [B, C, h, w] with its low frequencies times a factor: the frequency manipulation of
    StyleSSP (Xu et al., CVPR 2025).

    A Gaussian low-pass with a standard deviation of `LOW_FREQUENCY` cycles per position selects the
    low frequencies.
    """
    h, w = z.shape[-2:]
    fy, fx = torch.fft.fftfreq(h, device=z.device), torch.fft.rfftfreq(w, device=z.device)
    low = torch.exp(-(fy[:, None] ** 2 + fx**2) / (2 * LOW_FREQUENCY**2))
    return torch.fft.irfft2(torch.fft.rfft2(z) * (1 + (factor - 1) * low), s=(h, w))


def predict_z0(z: Tensor, eps: Tensor, a: float) -> Tensor:
    """z_0 = (z − √(1−a)·ε) / √a (DDIM, Song et al. 2021, eq. 9)."""
    return (z - (1 - a) ** 0.5 * eps) / a**0.5


def move(z_0: Tensor, eps: Tensor, b: float) -> Tensor:
    """The latent at noise level b: √b·z_0 + √(1−b)·ε (DDIM, eq. 12 with σ = 0)."""
    return b**0.5 * z_0 + (1 - b) ** 0.5 * eps
