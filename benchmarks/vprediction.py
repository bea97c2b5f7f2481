"""What inversion and sampling keep of a latent, by how a v-prediction is read.

The model is known exactly: latents are a Gaussian field with the power spectrum of natural
pictures, whose best denoiser is a Wiener filter. As ε and as v it says the same, so each difference
is the procedure's. Float64, without weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from benchmarks.options import VpredictionOptions
from benchmarks.table import Table
from styleid_ray.config import StyleParams
from styleid_ray.engine.schedule import Schedule, Step, make_schedule
from styleid_ray.engine.styleid import Features, Injection, invert, stylise

_CORNER = 0.03
"""Cycles per latent position above which the spectrum falls with the square of the frequency."""
_FINE = 0.25
"""Cycles per latent position from which frequencies count as fine detail: half of Nyquist's."""

Reading = Literal["ε", "v at the latent's level", "v as if it were ε"]


@dataclass(frozen=True)
class Field:
    """Latents [B, 1, n, n] of a stationary Gaussian field of mean 0 and variance 1."""

    power: Tensor
    """Variance of each frequency [n, n // 2 + 1], over that of white noise."""
    alphas: tuple[float, ...]
    """ᾱ of each timestep."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Latents of the field."""
        n = len(self.power)
        white = torch.randn(count, 1, n, n, generator=generator, dtype=torch.float64)
        return filtered(white, self.power.sqrt())

    def clean(self, z: Tensor, t: int) -> Tensor:
        """E[z_0 | z] of latents with the noise of timestep t: the Wiener filter
        √ᾱ·S / (ᾱ·S + 1 − ᾱ), S the power."""
        a = self.alphas[t]
        return filtered(z, a**0.5 * self.power / (a * self.power + 1 - a))


@dataclass(frozen=True)
class ExactDenoiser:
    """The field's denoiser as the engine takes one (`styleid.Denoise`), by a reading of its
    output."""

    field: Field
    reading: Reading

    def __call__(self, z: Tensor, step: Step, injection: Injection | None = None) -> Tensor:
        a = self.field.alphas[step.t]
        clean = self.field.clean(z, step.t)
        eps = (z - a**0.5 * clean) / (1 - a) ** 0.5
        v = a**0.5 * eps - (1 - a) ** 0.5 * clean
        if self.reading == "ε":
            return eps
        if self.reading == "v as if it were ε":
            return v
        return step.a**0.5 * v + (1 - step.a) ** 0.5 * z

    def record(self, z: Tensor, step: Step) -> tuple[Tensor, Features]:
        return self(z, step), {}


def measure_vprediction(options: VpredictionOptions) -> Table:
    """Error and detail kept by each preset, number of steps and reading."""
    return Table(
        "A v-prediction in inversion and sampling",
        list(_rows(options)),
        [
            f"{options.count} latents of {options.side} x {options.side} positions from a Gaussian "
            "field whose best denoiser is known; nothing is injected; float64",
            "error: of the latent that comes back, relative; kept: share of its energy, over all "
            f"frequencies and over those from {_FINE} cycles per position on",
            "ε, and v read at the timestep's level, are the same numbers; noise: standard "
            "deviation of the inverted latent, 1 of proper noise",
        ],
    )


def _rows(options: VpredictionOptions) -> Iterator[dict[str, Any]]:
    field = make_field(options.side)
    z = field.draw(options.count, torch.Generator().manual_seed(0))
    cases: tuple[tuple[Reading, Reading], ...] = (
        ("ε", "ε"),
        ("v at the latent's level", "v at the latent's level"),
        ("v as if it were ε", "v at the latent's level"),
    )
    for preset in ("paper", "diffusers"):
        for steps in options.steps:
            params = StyleParams(preset=preset, steps=steps).resolved()
            schedule = make_schedule(params, field.alphas, field.alphas[0])
            for inversion, sampling in cases:
                noise, back = round_trip(field, z, schedule, inversion, sampling)
                yield {
                    "preset": preset,
                    "steps": steps,
                    "inversion reads": inversion,
                    "sampling reads": sampling,
                    "noise": float(noise.std()),
                    "error": float((back - z).norm() / z.norm()),
                    "kept": kept(z, back, 0.0),
                    "fine detail kept": kept(z, back, _FINE),
                }


def make_field(side: int) -> Field:
    """The field on side x side positions, with the noise schedule of Stable Diffusion."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    down, across = torch.fft.fftfreq(side)[:, None], torch.fft.fftfreq(side)[: side // 2 + 1]
    power = 1 / (1 + (down.double() ** 2 + across.double() ** 2) / _CORNER**2)
    field = Field(power, tuple(scheduler.alphas_cumprod.double().tolist()))
    white = torch.zeros(1, 1, side, side, dtype=torch.float64)
    white[..., 0, 0] = 1
    variance = float(filtered(white, power)[..., 0, 0])
    return replace(field, power=power / variance)


def filtered(z: Tensor, gain: Tensor) -> Tensor:
    """Latents [B, 1, n, n] with a gain for each frequency [n, n // 2 + 1]."""
    return torch.fft.irfft2(torch.fft.rfft2(z) * gain, s=z.shape[-2:])


def round_trip(
    field: Field, z: Tensor, schedule: Schedule, inversion: Reading, sampling: Reading
) -> tuple[Tensor, Tensor]:
    """The noise of latents, and what sampling makes of it with nothing injected."""
    noise = invert(ExactDenoiser(field, inversion), z, schedule.inversion)
    nothing = [None] * len(schedule.sampling)
    last, z_0 = stylise(ExactDenoiser(field, sampling), noise, schedule.sampling, nothing)
    return noise, z_0 if schedule.returns_z0 else last


def kept(before: Tensor, after: Tensor, lowest: float) -> float:
    """Energy of latents after over that before, in frequencies of at least so many cycles per
    position."""
    n = before.shape[-1]
    down, across = torch.fft.fftfreq(n)[:, None], torch.fft.fftfreq(n)
    fine = torch.hypot(down.expand(n, n), across.expand(n, n)) >= lowest
    old, new = (torch.fft.fft2(x).abs().square()[..., fine].sum() for x in (before, after))
    return float(new / old)
