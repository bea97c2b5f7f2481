"""The UNet as a noise predictor: prediction types, the empty prompt, and the cost counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from styleid_ray.engine.attention import Tap, tapped
from styleid_ray.engine.schedule import Step
from styleid_ray.engine.styleid import Features, Injection
from styleid_ray.errors import ModelError


class Denoiser:
    """ε(z, t) on top of a diffusers `UNet2DConditionModel` (`styleid.Denoise`).

    The latents keep their own precision (float32 in the pipeline) whatever the UNet computes in.
    `evaluations` counts UNet forwards, one for each latent.

    Args:
        unet: the model.
        null_embedding: of the empty prompt [1, tokens, D].
        prediction_type: what the model predicts: "epsilon" or "v_prediction".
        fill: rows that a batch of latents of a shape is padded to, for a compiled UNet.
    """

    def __init__(
        self,
        unet: Any,
        null_embedding: Tensor,
        prediction_type: str,
        fill: Callable[[torch.Size], int] = lambda shape: 0,
    ) -> None:
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ModelError(
                f"the scheduler's prediction_type is {prediction_type!r}; "
                "StyleID needs a model of type 'epsilon' or 'v_prediction'"
            )
        self.unet = unet
        self.null_embedding = null_embedding
        self.prediction_type = prediction_type
        self.fill = fill
        self.evaluations = 0
        self._tap = Tap()

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the UNet computes in."""
        return self.null_embedding.dtype

    @contextmanager
    def tapped(self, layers: Sequence[int], watched: int | None = None) -> Iterator[None]:
        """Within the block these layers can be recorded and injected, and the prompt's keys and
        values are those of the empty one, computed once. `queries` are those of a watched layer."""
        try:
            with tapped(self.unet, layers, self.null_embedding, watched) as self._tap:
                yield
        finally:
            self._tap = Tap()

    @property
    def queries(self) -> Tensor | None:
        """Q_cs of the watched layer [rows, heads, tokens, d] in the latest call with an injection,
        before the blend; None where there was none."""
        return self._tap.queries

    def __call__(self, z: Tensor, step: Step, injection: Injection | None = None) -> Tensor:
        """The noise ε [B, C, h, w] that the UNet sees in z at a step's timestep.

        A v-prediction (Salimans & Ho 2022) is read at the step's noise level a = ᾱ, the level that
        the latent is taken to be at: ε = √a·v + √(1−a)·z. An injection has as many rows as the UNet
        call (`rows`).
        """
        self._tap.injection = injection
        try:
            return self._predict(z, step)
        finally:
            self._tap.injection = None

    def record(self, z: Tensor, step: Step) -> tuple[Tensor, Features]:
        """ε, and Q, K and V of the tapped layers: their own tensors, of this call alone."""
        self._tap.recorded = recorded = {}
        try:
            eps = self._predict(z, step)
        finally:
            self._tap.recorded = None
        return eps, {key: x[: len(z)] for key, x in recorded.items()}

    def _predict(self, z: Tensor, step: Step) -> Tensor:
        rows = self.rows(z)
        timesteps = torch.full((rows,), step.t, device=z.device)
        prompt = self.null_embedding.expand(rows, -1, -1)
        x = _pad(z.to(self.dtype), rows)
        out = self.unet(x, timesteps, encoder_hidden_states=prompt, return_dict=False)[0]
        self.evaluations += len(z)
        eps = out[: len(z)].to(z.dtype)
        if self.prediction_type == "v_prediction":
            eps = step.a**0.5 * eps + (1 - step.a) ** 0.5 * z
        return eps

    def rows(self, z: Tensor) -> int:
        """Rows of the UNet call for latents [B, C, h, w]: B, or those of a full batch."""
        return max(len(z), self.fill(z.shape[1:]))


def _pad(x: Tensor, rows: int) -> Tensor:
    """The last row repeated up to a number of rows."""
    if len(x) == rows:
        return x
    return torch.cat([x, x[-1:].expand(rows - len(x), *x.shape[1:])])
