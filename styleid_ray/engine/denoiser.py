"""The UNet as a noise predictor: prediction types, the empty prompt, windows, the cost counter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor

from styleid_ray.engine.attention import Tap, tapped
from styleid_ray.engine.schedule import Step
from styleid_ray.engine.styleid import Features, Injection
from styleid_ray.engine.windows import blend, cut, joined_tokens, of_window, stack_windows
from styleid_ray.errors import ModelError
from styleid_ray.model.description import ModelDescription
from styleid_ray.model.windows import Windows


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


class Denoiser:
    """ε(z, t) of a diffusers UNet (`styleid.Denoise`).

    The latents keep their own precision (float32 in the pipeline) whatever the UNet computes in.
    `evaluations` counts UNet forwards, one per window and latent.

    Args:
        unet: the model.
        condition: the empty prompt, and the model's description.
        fill: rows to pad a batch of latents of a shape to, for a compiled UNet.
        window: most latent positions per side that the UNet sees at once; None for all.
    """

    def __init__(
        self,
        unet: Any,
        condition: Condition,
        fill: Callable[[torch.Size], int] = lambda shape: 0,
        window: int | None = None,
    ) -> None:
        self.prediction_type = condition.model.prediction_type
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise ModelError(
                f"the scheduler's prediction_type is {self.prediction_type!r}; "
                "StyleID needs a model of type 'epsilon' or 'v_prediction'"
            )
        self.unet = unet
        self.condition = condition
        self.fill = fill
        self.window = window
        self.evaluations = 0
        self.queries: tuple[Tensor, Tensor] | None = None
        """Q_c and Q_cs of the watched layer in the latest call, before their blend, each
        [rows, heads, tokens of all windows, d]; None without an injection."""
        self._tap = Tap()

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the UNet."""
        return self.unet.dtype

    @property
    def device(self) -> torch.device:
        """The device of the UNet."""
        return self.unet.device

    @contextmanager
    def tapped(self, layers: Sequence[int], watched: int | None = None) -> Iterator[None]:
        """Within the block these layers can be recorded and injected, keys and values of the empty
        prompt are computed once, and `queries` follows the watched layer."""
        sites = self.condition.model.sites
        names = {layer: sites[layer].name for layer in layers}
        try:
            with tapped(self.unet, names, self.condition.prompt, watched) as self._tap:
                yield
        finally:
            self._tap, self.queries = Tap(), None

    def __call__(self, z: Tensor, step: Step, injection: Injection | None = None) -> Tensor:
        """The noise ε [B, C, h, w] that the UNet sees in z at a step's timestep.

        A v-prediction (Salimans & Ho 2022) is converted at ᾱ = a, the noise level the step assumes
        for z: ε = √a·v + √(1−a)·z. An injection has as many rows as the UNet call (`rows`).
        """
        windows, parts, queries = self.windows(z.shape), [], []
        self.queries = None  # frees the features of the step before
        try:
            for i, part in enumerate(cut(windows, z)):
                self._tap.injection = of_window(injection, i, windows)
                parts.append(self._predict(part, step, self.rows(z)))
                queries += [] if self._tap.queries is None else [self._tap.queries]
        finally:
            self._tap.injection = self._tap.queries = None
        if injection and queries and self._tap.watched is not None:
            q_c = joined_tokens(injection.content["q", self._tap.watched])
            self.queries = q_c, torch.cat(queries, 2) if len(queries) > 1 else queries[0]
        return blend(windows, parts)

    def record(self, z: Tensor, step: Step) -> tuple[Tensor, Features]:
        """ε, and Q, K and V of the tapped layers in tensors of this call alone: for one window
        [B, heads, tokens, d], for several [B, windows, heads, tokens, d]."""
        windows, parts, features = self.windows(z.shape), [], []
        try:
            for part in cut(windows, z):
                self._tap.recorded = recorded = {}
                parts.append(self._predict(part, step, self.rows(z)))
                features.append({key: x[: len(z)] for key, x in recorded.items()})
        finally:
            self._tap.recorded = None
        return blend(windows, parts), stack_windows(features)

    def _predict(self, z: Tensor, step: Step, rows: int) -> Tensor:
        """ε of one window, in a UNet call of `rows` rows."""
        timesteps = torch.full((rows,), step.t, device=z.device)
        height, width = z.shape[-2:]
        condition = self.condition.arguments(self.unet, rows, (height, width))
        x = _pad(z.to(self.dtype), rows)
        out = self.unet(x, timesteps, **condition, return_dict=False)[0]
        self.evaluations += len(z)
        eps = out[: len(z)].to(z.dtype)
        if self.prediction_type == "v_prediction":
            eps = step.a**0.5 * eps + (1 - step.a) ** 0.5 * z
        return eps

    def windows(self, latent: Sequence[int]) -> Windows:
        """The windows of a latent of shape [..., h, w]."""
        return Windows.over(latent, self.window)

    def window_shape(self, latent: Sequence[int]) -> torch.Size:
        """Shape [C, h, w] of the window of a latent [..., C, h, w] that the UNet sees at once."""
        windows = self.windows(latent)
        return torch.Size([latent[-3], windows.height, windows.width])

    def rows(self, z: Tensor) -> int:
        """Rows of the UNet call for latents [B, C, h, w]: B, or the rows of a full batch."""
        return max(len(z), self.fill(z.shape[1:]))


def _pad(x: Tensor, rows: int) -> Tensor:
    """The last row repeated up to a number of rows."""
    if len(x) == rows:
        return x
    return torch.cat([x, x[-1:].expand(rows - len(x), *x.shape[1:])])
