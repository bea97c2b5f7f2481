"""The kept share of a content's structure, by queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine.structure import kept_structure, sample, self_similarity
from styleid_ray.engine.tuning import compile_models
from tests.engine.test_tuning import small_unet

RNG = torch.Generator().manual_seed(0)
Q = torch.randn(2, 4, 64, 8, generator=RNG)


def test_the_contents_own_queries_keep_all_and_others_next_to_nothing() -> None:
    other = torch.randn(2, 4, 64, 8, generator=RNG)
    assert kept_structure(Q, Q).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert kept_structure(Q, other).max() < 0.15


def test_scaled_or_rotated_features_are_the_same_structure() -> None:
    x = Q.transpose(1, 2).flatten(2)
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=RNG)).Q
    turned = (3 * x @ rotation).unflatten(-1, (4, 8)).transpose(1, 2)
    assert kept_structure(Q, turned).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_structure_is_the_correlation_of_cosine_similarities_over_pairs_of_positions() -> None:
    other = Q + 0.7 * torch.randn(2, 4, 64, 8, generator=RNG)

    def similarities(q: torch.Tensor) -> np.ndarray:
        x = q[0].transpose(0, 1).flatten(1).double().numpy()
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return (x @ x.T)[np.triu_indices(64, 1)]

    expected = np.corrcoef(similarities(Q), similarities(other))[0, 1]
    assert kept_structure(Q, other)[0].item() == pytest.approx(expected, abs=1e-4)


def test_a_flat_result_keeps_nothing_and_a_flat_content_has_nothing_to_keep() -> None:
    same = torch.ones(1, 4, 64, 8)
    assert kept_structure(Q[:1], same).tolist() == [0]
    assert kept_structure(same, Q[:1]).isnan().all()
    assert kept_structure(same, same).isnan().all()
    assert kept_structure(Q[:1, :, :1], Q[:1, :, :1]).isnan().all()


@pytest.mark.parametrize("tokens", [1, 100, 256, 1024, 4096, 64 * 96])
def test_the_positions_compared_are_few_distinct_and_spread(tokens: int) -> None:
    at = sample(tokens)
    assert len(at) == min(tokens, 256) == len(at.unique())
    assert 0 <= at.min() <= at.max() < tokens
    if tokens == 4096:
        rows, columns = at // 64, at % 64
        assert (len(rows.unique()), len(columns.unique())) == (64, 64)


def test_half_precision_is_compared_in_single() -> None:
    assert self_similarity(Q.half()).dtype == torch.float32


def transferred(pipe: StyleIDPipeline, z: Tensor, **params: Any) -> tuple[Tensor, dict[int, float]]:
    """Latents of two contents with two styles, and the structure that each pair keeps."""
    told: dict[int, float] = {}

    def structure(rows: Any, kept: Tensor) -> None:
        told.update(zip(rows, kept.tolist(), strict=True))

    given = StyleParams(**{"steps": 3, "layers": (2, 3), **params})
    return pipe.transfer_latents(z[:2], z[2:4], params=given, structure=structure), told


def pipe_of(unet: Any, **options: Any) -> StyleIDPipeline:
    null = torch.ones(1, 7, 8)
    return StyleIDPipeline(unet=unet, scheduler=DDIMScheduler(), null_embedding=null, **options)


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def test_measuring_structure_costs_no_evaluation_and_changes_no_bit(
    latents: Tensor,
) -> None:
    plain, watching = pipe_of(small_unet()), pipe_of(small_unet())
    params = StyleParams(steps=3, layers=(2, 3))
    want = plain.transfer_latents(latents[:2], latents[2:4], params=params)
    got, told = transferred(watching, latents)
    assert torch.equal(got, want)
    assert watching.unet_evaluations == plain.unet_evaluations
    assert sorted(told) == [0, 1, 2, 3]
    assert all(0 <= kept <= 1 for kept in told.values())


def test_structure_is_the_same_in_any_batch(latents: Tensor) -> None:
    _, together = transferred(pipe_of(small_unet()), latents)
    _, alone = transferred(pipe_of(small_unet(), batch_size=1), latents)
    assert alone == pytest.approx(together, abs=1e-4)


def test_structure_is_not_reported_without_injection(latents: Tensor) -> None:
    assert transferred(pipe_of(small_unet()), latents, inject=False)[1] == {}


def test_a_compiled_unet_reports_structure_without_another_graph(latents: Tensor) -> None:
    graphs, unet = CompileCounter(), small_unet()
    compile_models(unet, backend=graphs)
    compiled = pipe_of(unet, batch_size=4, compile=False)
    compiled.memory.batches.full = True
    _, told = transferred(compiled, latents)
    assert graphs.frame_count == 2
    assert told == pytest.approx(transferred(pipe_of(small_unet()), latents)[1], abs=1e-4)
