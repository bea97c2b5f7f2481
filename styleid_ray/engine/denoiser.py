"""The UNet as a noise predictor: prediction types, the null prompt, and the cost counter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from styleid_ray.errors import ModelError


class Denoiser:
    """`denoise(z, t, a) → ε` on top of a diffusers `UNet2DConditionModel`.

    The latents keep their own precision (float32 in the pipeline) whatever the UNet computes in.
    `evaluations` counts UNet forwards, one for each latent.
    """

    def __init__(self, unet: nn.Module, null_embedding: Tensor, prediction_type: str) -> None:
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ModelError(
                f"the scheduler's prediction_type is {prediction_type!r}; "
                "StyleID needs a model of type 'epsilon' or 'v_prediction'"
            )
        self.unet = unet
        self.null_embedding = null_embedding
        self.prediction_type = prediction_type
        self.evaluations = 0

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the UNet computes in."""
        return self.null_embedding.dtype

    def __call__(self, z: Tensor, t: int, a: float) -> Tensor:
        """The noise ε [B, C, h, w] that the UNet sees in z at timestep t.

        A v-prediction (Salimans & Ho 2022) is read at noise level a = ᾱ, the level that the latent
        is taken to be at: ε = √a·v + √(1−a)·z.
        """
        dtype = self.null_embedding.dtype
        prompt = self.null_embedding.expand(len(z), -1, -1)
        timesteps = torch.full((len(z),), t, device=z.device)
        out = self.unet(z.to(dtype), timesteps, encoder_hidden_states=prompt, return_dict=False)[0]
        self.evaluations += len(z)
        out = out.to(z.dtype)
        if self.prediction_type == "v_prediction":
            out = a**0.5 * out + (1 - a) ** 0.5 * z
        return out
