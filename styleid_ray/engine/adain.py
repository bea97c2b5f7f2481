"""Initial-latent AdaIN (StyleID section 3.4)."""

from __future__ import annotations

from torch import Tensor


def adain(z_content: Tensor, z_style: Tensor, eps: float = 0.0) -> Tensor:
    """The content's initial latents with the style's channel statistics.

    z = σ_s · (z_c − μ_c) / (σ_c + eps) + μ_s, mean and unbiased standard deviation per picture and
    channel over height and width. `z_content` [B, C, h, w] and `z_style` [B, C, h', w'] may differ
    in height and width. The paper's code has eps = 0, the diffusers port 1e-4.
    """
    mu_c, sigma_c = z_content.mean((2, 3), keepdim=True), z_content.std((2, 3), keepdim=True)
    mu_s, sigma_s = z_style.mean((2, 3), keepdim=True), z_style.std((2, 3), keepdim=True)
    return sigma_s * (z_content - mu_c) / (sigma_c + eps) + mu_s


ADAIN_EPS = {"paper": 0.0, "diffusers": 1e-4}
"""What each preset adds to the content's standard deviation."""
