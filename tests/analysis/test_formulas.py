"""Formulas of the analysis against plain ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from styleid_ray.analysis.formulas import (
    layer_grid,
    logit_deviation,
    patch_attention,
    patch_token,
    principal_components,
)


def vectors(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_principal_components_equal_numpys_singular_value_decomposition() -> None:
    x = vectors(0, 50, 8) @ vectors(1, 8, 8) + 3
    components = principal_components(x)
    centred = x.double().numpy() - x.double().numpy().mean(0)
    _, s, axes = np.linalg.svd(centred, full_matrices=False)
    for number in range(3):
        own = components.axes[:, number].numpy()
        assert abs(own @ axes[number]) == pytest.approx(1, abs=1e-9)
        assert own[np.abs(own).argmax()] > 0
    np.testing.assert_allclose(components.shares, (s**2 / (s**2).sum())[:3], rtol=1e-9)
    projected = components.project(x).numpy()
    np.testing.assert_allclose(projected, centred @ components.axes.numpy(), atol=1e-12)
    np.testing.assert_allclose(projected.var(0), (s**2 / 50)[:3], rtol=1e-9)


def test_vectors_of_two_dimensions_have_no_third_component() -> None:
    components = principal_components(vectors(0, 20, 2))
    assert components.shares[:2].sum() == pytest.approx(1)
    assert not components.axes[:, 2].any()
    assert not components.shares[2]


def test_equal_vectors_explain_nothing() -> None:
    components = principal_components(torch.ones(9, 4))
    assert not components.shares.any()
    assert not components.project(torch.ones(9, 4)).any()


def test_the_spread_of_logits_equals_that_of_all_logits_computed_by_hand() -> None:
    q, k = vectors(0, 2, 12, 8), vectors(1, 2, 20, 8) + 5
    logits = q @ k.transpose(1, 2) / 8**0.5
    by_hand = logits.std(-1, correction=0).mean().item()
    assert logit_deviation(q, k) == pytest.approx(by_hand, rel=1e-5)
    assert logit_deviation(1.5 * q, k) == pytest.approx(1.5 * by_hand, rel=1e-5)


def test_equal_keys_have_no_spread() -> None:
    assert logit_deviation(vectors(0, 2, 5, 4), torch.ones(2, 7, 4)) == 0


def test_half_precision_is_measured_in_single_precision() -> None:
    q, k = 200 * vectors(0, 2, 12, 8).half(), 200 * vectors(1, 2, 20, 8).half()
    assert logit_deviation(q, k) == pytest.approx(logit_deviation(q.float(), k.float()))


def test_a_patchs_attention_is_the_row_of_softmax_averaged_over_heads() -> None:
    q, k = vectors(0, 2, 3, 4), vectors(1, 2, 6, 4)
    logits, attention = patch_attention(q[:, 1], k, 1.5)
    whole = q @ k.transpose(1, 2) / 4**0.5
    torch.testing.assert_close(logits, whole.mean(0)[1])
    torch.testing.assert_close(attention, (1.5 * whole).softmax(-1).mean(0)[1])
    assert attention.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("patch", "token"),
    [((0, 0), (0, 0)), ((1, 1), (3, 7)), ((0.5, 0.5), (2, 4)), ((0.99, 0.0), (0, 7))],
)
def test_a_point_lies_in_the_token_that_covers_it(
    patch: tuple[float, float], token: tuple[int, int]
) -> None:
    assert patch_token(patch, 4, 8) == token


def test_a_layers_grid_has_the_shape_of_the_latent() -> None:
    assert layer_grid(128, 8, 16) == (8, 16)
    assert layer_grid(32, 8, 16) == (4, 8)
    assert layer_grid(2, 8, 16) == (1, 2)
