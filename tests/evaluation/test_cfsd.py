"""CFSD, against the whole matrix of similarities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from styleid_ray.evaluation.cfsd import cfsd


def plainly(content: np.ndarray, stylised: np.ndarray) -> float:
    def similarities(f: np.ndarray) -> np.ndarray:
        e = np.exp(f.T @ f)
        return e / e.sum(1, keepdims=True)

    p, q = similarities(content), similarities(stylised)
    return float((p * np.log(p / q)).sum())


@pytest.mark.parametrize("patches", [5, 1024, 1500])
def test_cfsd_in_blocks_equals_the_whole_matrix(patches: int) -> None:
    draws = np.random.default_rng(patches)
    content, stylised = (draws.standard_normal((256, patches)) / 16 for _ in range(2))
    found = cfsd(*(torch.from_numpy(f).float() for f in (content, stylised)))
    assert found == pytest.approx(plainly(content, stylised), rel=1e-4)


def test_the_content_is_the_target() -> None:
    draws = np.random.default_rng(0)
    one, two = (torch.from_numpy(draws.standard_normal((256, 9)) / s).float() for s in (4, 16))
    assert cfsd(one, two) != pytest.approx(cfsd(two, one), rel=0.01)
    assert cfsd(one, one) == 0
