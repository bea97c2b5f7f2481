"""The methods that StyleID is compared with, against the same equations in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from styleid_ray.engine.baselines import TRANSFERS, adain, mkl, reinhard

# As printed by Reinhard et al.
LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
TO_RGB = np.array(
    [[4.4679, -3.5873, 0.1193], [-1.2186, 2.3809, -0.1624], [0.0497, -0.2439, 1.2045]]
)
LAB = np.diag([1 / 3**0.5, 1 / 6**0.5, 1 / 2**0.5]) @ [[1, 1, 1], [1, 1, -2], [1, -1, 0]]
TO_LOG = np.array([[1, 1, 1], [1, 1, -1], [1, -2, 0]]) @ np.diag(
    [3**0.5 / 3, 6**0.5 / 6, 2**0.5 / 2]
)

Transfer = Callable[[Tensor, Tensor], Tensor]
EVERY = pytest.mark.parametrize("transfer", TRANSFERS.values(), ids=TRANSFERS)


def picture(seed: int, height: int = 24, width: int = 20, darkest: float = 0.2) -> Tensor:
    """Colours whose channels vary together."""
    rng = np.random.default_rng(seed)
    mix, shift = rng.uniform(-0.3, 0.3, (3, 3)), rng.uniform(0.3, 0.7, 3)
    colours = np.clip(rng.standard_normal((height * width, 3)) @ mix + shift, darkest, 1)
    return torch.from_numpy(colours.T.reshape(3, height, width).copy())


def flat(x: Tensor) -> np.ndarray:
    return x.numpy().reshape(3, -1)


def matched(c: np.ndarray, s: np.ndarray) -> np.ndarray:
    rows = zip(c, s, strict=True)
    return np.stack([(a - a.mean()) / a.std() * b.std() + b.mean() for a, b in rows])


def test_adain_gives_each_channel_the_styles_mean_and_deviation() -> None:
    content, style = picture(1), picture(2, 30, 9)
    result = flat(adain(content, style))
    np.testing.assert_allclose(result, matched(flat(content), flat(style)), atol=1e-12)
    np.testing.assert_allclose(result.mean(1), flat(style).mean(1))
    np.testing.assert_allclose(result.std(1), flat(style).std(1))


def test_reinhard_is_the_paper_but_for_the_error_of_its_printed_inverse() -> None:
    content, style = picture(3), picture(4, 30, 9)
    lab_c, lab_s = (LAB @ np.log10(LMS @ flat(x)) for x in (content, style))
    lms = 10 ** (TO_LOG @ matched(lab_c, lab_s))
    result = flat(reinhard(content, style))
    np.testing.assert_allclose(result, np.linalg.solve(LMS, lms), atol=1e-12)
    np.testing.assert_allclose(result, TO_RGB @ lms, atol=0.02)


def test_mkl_is_the_closed_form_and_gives_the_styles_mean_and_covariance() -> None:
    content, style = picture(5), picture(6, 30, 9)
    c, s = flat(content), flat(style)
    sigma_c, sigma_s = np.cov(c, bias=True), np.cov(s, bias=True)
    # The same map by a root of another matrix: T = Σc⁻¹ (Σc Σs)^(1/2).
    values, vectors = np.linalg.eig(sigma_c @ sigma_s)
    root = vectors * np.sqrt(values) @ np.linalg.inv(vectors)
    by_hand = np.linalg.inv(sigma_c) @ root @ (c - c.mean(1, keepdims=True)) + s.mean(
        1, keepdims=True
    )
    result = flat(mkl(content, style))
    np.testing.assert_allclose(result, by_hand, atol=1e-9)
    np.testing.assert_allclose(result.mean(1), s.mean(1))
    np.testing.assert_allclose(np.cov(result, bias=True), sigma_s, atol=1e-12)


def test_mkl_moves_colours_less_than_another_map_to_the_same_covariance() -> None:
    content, style = picture(5), picture(6)
    c, s = flat(content), flat(style)
    cholesky = [np.linalg.cholesky(np.cov(x, bias=True)) for x in (c, s)]
    other = cholesky[1] @ np.linalg.inv(cholesky[0]) @ (c - c.mean(1, keepdims=True))
    other += s.mean(1, keepdims=True)
    moved = ((flat(mkl(content, style)) - c) ** 2).sum()
    assert moved < ((other - c) ** 2).sum()


@EVERY
def test_a_style_equal_to_the_content_gives_the_content(transfer: Transfer) -> None:
    content = picture(7)
    torch.testing.assert_close(transfer(content, content), content, atol=1e-9, rtol=0)


@EVERY
def test_the_order_of_the_styles_pixels_does_not_count(transfer: Transfer) -> None:
    content, style = picture(8), picture(9)
    turned = transfer(content, style.flip(1, 2).transpose(1, 2))
    torch.testing.assert_close(transfer(content, style), turned)


@EVERY
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_even_pictures_give_no_nan_and_take_the_styles_mean(
    transfer: Transfer, value: float
) -> None:
    even, style = torch.full((3, 6, 5), value, dtype=torch.float64), picture(10)
    result = transfer(even, style)
    assert result.isfinite().all()
    torch.testing.assert_close(result, result[:, :1, :1].expand_as(result))
    if transfer is not reinhard:  # its mean is one of logarithms
        torch.testing.assert_close(result[:, 0, 0], style.mean((1, 2)))
    onto_even = transfer(style, even)
    assert onto_even.isfinite().all()
    target = even[:, :1, :1].expand_as(onto_even)
    torch.testing.assert_close(onto_even, target, atol=1 / 200, rtol=0)


@EVERY
def test_equal_greys_get_equal_colours(transfer: Transfer) -> None:
    grey = torch.tensor([0.2, 0.5, 0.9, 0.5], dtype=torch.float64).repeat(3, 5, 1)
    result = transfer(grey, picture(12))
    assert result.isfinite().all()
    torch.testing.assert_close(result[:, :, 1], result[:, :, 3])
    torch.testing.assert_close(result, result[:, :1].expand_as(result))
    assert (result[:, 0, 2] != result[:, 0, 0]).all()


def test_black_pixels_have_no_logarithm_and_still_a_colour() -> None:
    content, style = picture(13, darkest=0), picture(14, darkest=0)
    content[:, :5] = 0
    style[:, :, :5] = 0
    assert reinhard(content, style).isfinite().all()
