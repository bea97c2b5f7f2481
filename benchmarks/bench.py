"""What the measurements on one device share: the model, paces found so far, and the time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.device import Timing, count_flop, fastest, forget_peak, matrix_peak
from benchmarks.options import GpuOptions
from benchmarks.sd1 import EMBEDDING, TOKENS, build_parts, draw_latents
from styleid_ray.config import StyleParams

_MARGIN = 1.5
"""Times that a call may take longer than its evaluations in plain UNet calls."""


@dataclass
class Bench:
    """One run of the measurements."""

    options: GpuOptions
    device: torch.device = field(init=False)
    parts: dict[str, Any] = field(init=False)
    """The model in the first of the precisions, eager and contiguous."""
    flop: int = field(init=False)
    """Of one UNet evaluation."""
    peaks: dict[str, float] = field(init=False)
    """FLOP/s of a matrix product in each precision."""
    paces: dict[int, Timing] = field(default_factory=dict)
    """Of one plain UNet call of the model, by batch."""
    compile_seconds: float = field(init=False)
    """Of the first call of a compiled engine: reckoned, until one was measured."""
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.device = torch.device(self.options.device)
        self.compile_seconds = self.options.compile_seconds
        self.parts = self.build(self.dtype)
        z = self.draw(1)
        self.flop = count_flop(lambda: evaluate(self.parts["unet"], z))
        self.peaks = {
            dtype: matrix_peak(self.device, getattr(torch, dtype), self.options.matrix)
            for dtype in self.options.dtypes
        }

    @property
    def dtype(self) -> str:
        """The precision of all but the variants."""
        return self.options.dtypes[0]

    @property
    def peak(self) -> float:
        """FLOP/s of a matrix product in that precision."""
        return self.peaks[self.dtype]

    @property
    def batch(self) -> int:
        """The batch of the fastest plain UNet call, per latent."""
        return min(self.paces, key=lambda batch: self.paces[batch].total / batch)

    def build(self, dtype: str) -> dict[str, Any]:
        """A model of its own: compiling it or changing its layout leaves the others alone."""
        return build_parts(self.device, getattr(torch, dtype), self.options.width)

    def draw(self, count: int) -> Tensor:
        """New latents."""
        return draw_latents(count, self.options.size, self.device)

    def pace(self, batch: int) -> float:
        """Seconds per latent of a plain UNet call."""
        return self.paces[batch].total / batch

    def reckon(self, evaluations: int, batch: int | None = None) -> float:
        """Seconds that the engine should take at most."""
        batch = batch if batch in self.paces else self.batch
        return _MARGIN * evaluations * self.pace(batch)

    def refusal(self, estimate: float) -> str:
        """Why something of that many seconds is not begun; empty when there is time for it."""
        left = max(0.0, self.options.seconds - (time.monotonic() - self.began))
        if estimate <= left:
            return ""
        return f"skipped: reckoned at {estimate:.0f} s, {left:.0f} s left"


@torch.no_grad()
def evaluate(unet: Any, z: Tensor) -> Tensor:
    """One plain UNet call on latents [B, C, h, w]."""
    prompt = torch.zeros(len(z), TOKENS, EMBEDDING, device=z.device, dtype=unet.dtype)
    return unet(z.to(unet.dtype), 1, prompt, return_dict=False)[0]


def grid_evaluations(steps: int, contents: int, styles: int) -> int:
    """UNet evaluations of every content with every style, each picture inverted once."""
    params = StyleParams(steps=steps).resolved()
    return (
        contents + styles
    ) * params.inversion_evaluations + contents * styles * params.sampling_evaluations


def paces_of(bench: Bench, unet: Any) -> dict[int, Timing]:
    """Plain UNet calls by batch, up to what the memory holds."""
    paces: dict[int, Timing] = {}
    for batch in sorted({1, *bench.options.batches}):
        z = bench.draw(batch)
        forget_peak(bench.device)
        try:
            paces[batch] = fastest(bench.device, lambda z=z: evaluate(unet, z))
        except torch.OutOfMemoryError:
            break
    return paces
