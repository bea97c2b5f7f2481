"""DDIM (Song et al. 2021, eq. 12 with σ = 0): one move between noise levels, and the two loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from styleid_ray.engine.schedule import Step

Denoise = Callable[[Tensor, int, float], Tensor]
"""(z [B, C, h, w], timestep, ᾱ the latent is at) → the noise ε that the model predicts."""
Callback = Callable[[Step, Tensor, Tensor], None]
"""(step, latents after it, the z_0 it predicted), each [B, C, h, w]."""


def predict_z0(z: Tensor, eps: Tensor, a: float) -> Tensor:
    """z_0 = (z − √(1−a)·ε) / √a, the clean latent that ε implies at noise level a = ᾱ."""
    return (z - (1 - a) ** 0.5 * eps) / a**0.5


def move(z: Tensor, eps: Tensor, a: float, b: float) -> Tensor:
    """Latent z at noise level a taken to level b along ε: √b·z_0 + √(1−b)·ε."""
    return b**0.5 * predict_z0(z, eps, a) + (1 - b) ** 0.5 * eps


def invert(denoise: Denoise, z0: Tensor, steps: Sequence[Step]) -> Tensor:
    """DDIM inversion: clean latents z_0 [B, C, h, w] to the noise z_T that leads back to them."""
    z = z0
    for step in steps:
        z = move(z, denoise(z, step.t, step.a), step.a, step.b)
    return z


def sample(
    denoise: Denoise,
    z_T: Tensor,
    steps: Sequence[Step],
    returns_z0: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM sampling: noise z_T [B, C, h, w] to clean latents.

    The result is the last latent, or with `returns_z0` the z_0 predicted by the last step.
    `callback(step, z, z0)` sees the latents after each step and the z_0 that the step predicted.
    """
    z = z0 = z_T
    for step in steps:
        eps = denoise(z, step.t, step.a)
        z0 = predict_z0(z, eps, step.a)
        z = move(z, eps, step.a, step.b)
        if callback:
            callback(step, z, z0)
    return z0 if returns_z0 else z
