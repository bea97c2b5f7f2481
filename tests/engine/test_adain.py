from __future__ import annotations

import torch

from styleid_ray.engine.adain import adain


def test_the_result_has_the_styles_channel_statistics_and_the_contents_layout() -> None:
    torch.manual_seed(0)
    content, style = torch.randn(2, 4, 8, 6), 3 * torch.randn(2, 4, 5, 7) + 1
    out = adain(content, style)
    assert torch.allclose(out.mean((2, 3)), style.mean((2, 3)), atol=1e-5)
    assert torch.allclose(out.std((2, 3)), style.std((2, 3)), atol=1e-5)
    flat = torch.stack([content[0, 0].flatten(), out[0, 0].flatten()])
    assert torch.corrcoef(flat)[0, 1] > 0.9999
