"""Features as rows of bytes."""

from __future__ import annotations

import pytest
import torch

from styleid_ray.engine.layout import Layout


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_give_back_the_features_in_their_precision(dtype: torch.dtype) -> None:
    features = {("k", 6): torch.randn(3, 2, 9, 8), ("v", 6): torch.randn(3, 2, 9, 8)}
    features |= {("q", 6): torch.randn(3, 2, 9, 8), ("k", 7): torch.randn(3, 4, 16, 2)}
    layout = Layout.of(features, "style", dtype)
    rows = layout.pack(features, slice(1, 3))
    assert rows.shape == (2, layout.nbytes)
    back = layout.unpack(rows, torch.float32)
    assert back.keys() == features.keys() - {("q", 6)}
    for key, x in back.items():
        torch.testing.assert_close(x, features[key][1:].to(dtype).float(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bits_hold_each_token_of_each_head_within_a_percent_of_its_largest_value(
    dtype: torch.dtype,
) -> None:
    # Rounding in bfloat16, which has 8 bits itself, would cost twice as much.
    x = torch.randn(1, 2, 64, 8, generator=torch.Generator().manual_seed(0))
    x *= torch.tensor([1e-2, 50.0]).view(1, 2, 1, 1)
    features = {("k", 6): x.to(dtype), ("v", 6): torch.zeros(1, 2, 64, 8, dtype=dtype)}
    layout = Layout.of(features, "style", torch.int8)
    back = layout.unpack(layout.pack(features, slice(0, 1)), torch.float32)
    exact = features["k", 6].float()
    most = 0.0045 * exact.abs().amax(-1, keepdim=True)
    assert bool(((back["k", 6] - exact).abs() <= most).all())
    assert not back["v", 6].any()


def test_eight_bits_of_values_beyond_float16_stay_finite() -> None:
    features = {("q", 6): torch.full((1, 1, 1, 4), 3e38)}
    layout = Layout.of(features, "content", torch.int8)
    assert layout.unpack(layout.pack(features, slice(0, 1)), torch.float32)["q", 6].isfinite().all()
