"""The inputs of the UNet besides latent and timestep: the empty prompt, and a picture's size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor

from styleid_ray.errors import ModelError
from styleid_ray.model.description import ModelDescription


@dataclass(frozen=True)
class Condition:
    """The condition of the empty prompt, for latents of any shape.

    Args:
        model: describes the inputs of its UNet.
        prompt: embedding [1, tokens, D]; None for a model without text.
        pooled: pooled embedding [1, P], for a model that takes one.
    """

    model: ModelDescription
    prompt: Tensor | None
    pooled: Tensor | None
    _time_ids: dict[tuple[int, int], Tensor] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        needed = {
            "null_embedding": self.model.text_width,
            "pooled_embedding": self.model.pooled_width,
        }
        for (name, width), x in zip(needed.items(), (self.prompt, self.pooled), strict=True):
            if (0 if x is None else x.shape[-1]) != width:
                has = "none" if x is None else f"one of width {x.shape[-1]}"
                wants = f"a {name} of width {width}" if width else f"no {name}"
                raise ModelError(f"the unet takes {wants}, and was given {has}")

    def arguments(self, unet: Any, rows: int, latent: tuple[int, int]) -> dict[str, Any]:
        """Keyword arguments of a UNet call on `rows` latents of a height and width."""
        if isinstance(unet, UNet2DModel):
            return {}
        prompt = None if self.prompt is None else self.prompt.expand(rows, -1, -1)
        if self.pooled is None:
            return {"encoder_hidden_states": prompt}
        if latent not in self._time_ids:
            self._time_ids[latent] = torch.tensor([self.model.time_ids(latent)]).to(self.pooled)
        added = {"text_embeds": self.pooled, "time_ids": self._time_ids[latent]}
        return {
            "encoder_hidden_states": prompt,
            "added_cond_kwargs": {name: x.expand(rows, -1) for name, x in added.items()},
        }
