from __future__ import annotations

import torch

from styleid_ray.engine.attention import attend_in_groups


def test_pairs_that_share_a_style_attend_as_if_each_had_its_own_keys_and_values() -> None:
    torch.manual_seed(0)
    q = torch.randn(5, 2, 9, 4)
    keys, values = torch.randn(2, 2, 7, 4), torch.randn(2, 2, 7, 4)
    out = attend_in_groups(q, list(keys), list(values), [3, 2], [0.5, 0.9])
    for row, (group, scale) in enumerate([(0, 0.5)] * 3 + [(1, 0.9)] * 2):
        weights = (scale * q[row] @ keys[group].transpose(1, 2)).softmax(-1)
        assert torch.allclose(out[row], weights @ values[group], atol=1e-6)
