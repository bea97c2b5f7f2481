"""The plain procedure, which the engine's speed is told against, gives what the engine gives."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.naive import NaiveStyleID
from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.model.loading import load_components


def test_the_plain_procedure_and_the_engine_agree_and_only_the_engine_saves(
    tiny_model: Path,
) -> None:
    parts = load_components(str(tiny_model), device="cpu")
    pipe = StyleIDPipeline(**parts)
    alphas, null = parts["scheduler"].alphas_cumprod, parts["null_embedding"]
    naive = NaiveStyleID(pipe.unet, alphas, null, steps=4, gamma=0.6, temperature=1.3)
    torch.manual_seed(0)
    contents, styles = torch.randn(2, 4, 8, 8), torch.randn(3, 4, 8, 8)
    params = StyleParams(steps=4, gamma=0.6, temperature=1.3)
    got = pipe.transfer_latents(contents, styles, "cross", params)
    expected = torch.cat([naive.transfer(c[None], s[None]) for c in contents for s in styles])
    assert (got - expected).norm() < 1e-4 * expected.norm()
    assert naive.evaluations == 6 * (4 + 4 + 3)
    assert pipe.unet_evaluations == 5 * 4 + 6 * 3


def test_the_plain_procedure_leaves_the_unet_as_it_was(tiny_model: Path) -> None:
    parts = load_components(str(tiny_model), device="cpu")
    unet = parts["unet"]
    before = dict(unet.attn_processors)
    naive = NaiveStyleID(unet, parts["scheduler"].alphas_cumprod, parts["null_embedding"], steps=2)
    naive.transfer(torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8))
    assert unet.attn_processors == before
