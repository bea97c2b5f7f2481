"""What the measurement says about a v-prediction, on a model that is known exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.options import VpredictionOptions
from benchmarks.vprediction import kept, make_field, measure_vprediction


@pytest.fixture(scope="module")
def rows() -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of the table by preset and how inversion and sampling read the UNet's output."""
    table = measure_vprediction(VpredictionOptions(steps=(20,), side=32, count=4))
    names = ("preset", "inversion reads", "sampling reads")
    return {tuple(row[name] for name in names): row for row in table.rows}


LATENT = "v at the latent's level"
RAW = "v as if it were ε"


def test_the_paper_preset_does_the_same_with_v_as_with_noise(
    rows: dict[tuple[Any, ...], dict[str, Any]],
) -> None:
    noise, v = rows["paper", "ε", "ε"], rows["paper", LATENT, LATENT]
    assert v["error"] == pytest.approx(noise["error"], rel=1e-6)
    assert v["kept"] == pytest.approx(noise["kept"], rel=1e-6)


@pytest.mark.parametrize("preset", ["paper", "diffusers"])
def test_v_read_as_noise_in_inversion_leaves_nothing_to_sample_from(
    rows: dict[tuple[Any, ...], dict[str, Any]], preset: str
) -> None:
    blurred = rows[preset, RAW, LATENT]
    assert blurred["noise"] < 0.2
    assert blurred["kept"] < 0.02
    assert blurred["error"] > 0.9


def test_the_diffusers_preset_loses_more_detail_with_v_than_with_noise(
    rows: dict[tuple[Any, ...], dict[str, Any]],
) -> None:
    noise, v = rows["diffusers", "ε", "ε"], rows["diffusers", LATENT, LATENT]
    assert v["error"] > 2 * noise["error"]
    assert v["fine detail kept"] < noise["fine detail kept"] - 0.1


def test_the_fields_denoiser_is_better_than_any_other_gain() -> None:
    field, t = make_field(32), 500
    generator = torch.Generator().manual_seed(0)
    z_0 = field.draw(64, generator)
    assert float(z_0.var()) == pytest.approx(1, rel=0.1)
    a = field.alphas[t]
    noise = torch.randn(z_0.shape, generator=generator, dtype=z_0.dtype)
    clean = field.clean(a**0.5 * z_0 + (1 - a) ** 0.5 * noise, t)
    best = (clean - z_0).square().mean()
    for gain in (0.97, 1.03):
        assert (gain * clean - z_0).square().mean() > best


def test_detail_kept_is_that_of_the_frequencies_asked_for() -> None:
    x = torch.arange(32.0).expand(1, 1, 32, 32)
    coarse, fine = torch.sin(x * torch.pi / 8), torch.cos(x * torch.pi)
    assert kept(coarse + fine, coarse + 0.5 * fine, 0.25) == pytest.approx(0.25, abs=1e-4)
