"""Measures of pictures, by hand and beside scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2hsv
from skimage.metrics import structural_similarity
from torch import Tensor

from styleid_ray.quality import pixels as quality
from styleid_ray.quality.columns import PIXEL_MEASURES


def picture(seed: int, height: int = 64, width: int = 64, scale: float = 1.0) -> Tensor:
    """uint8 [H, W, 3] of a few blurred blocks."""
    rng = np.random.default_rng(seed)
    blocks = torch.from_numpy(rng.random((1, 3, 6, 6), np.float32)) * scale
    x = torch.nn.functional.interpolate(blocks, (height, width), mode="bicubic").clamp(0, 1)
    return (x[0].permute(1, 2, 0) * 255).round().to(torch.uint8)


def flat(*color: int, side: int = 64) -> Tensor:
    return torch.tensor(color, dtype=torch.uint8).expand(side, side, 3).clone()


def measures(result: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    palette = quality.palette(quality.small(style[None]))
    values = quality.measure(result[None], content[None], list(palette))
    return dict(zip(PIXEL_MEASURES, values[0].tolist(), strict=True))


CONTENT, STYLE = picture(1), picture(2, 48, 80, 0.4)


def test_a_copy_of_the_content_keeps_its_edges_and_the_whole_colour_distance() -> None:
    copied = measures(CONTENT, CONTENT, STYLE)
    assert (copied["color"], copied["edges"], copied["copy"]) == pytest.approx((0, 1, 1), abs=1e-5)
    assert copied["sharpness"] == pytest.approx(1)


def test_the_style_itself_has_all_of_its_colours_and_is_no_copy_of_the_content() -> None:
    style = picture(2, scale=0.4)
    taken = measures(style, CONTENT, style)
    assert taken["color"] == pytest.approx(1)
    assert taken["copy"] < 0.5
    assert taken["edges"] < 0.6


def test_the_middle_of_two_flat_colours_is_half_of_the_distance() -> None:
    content, style = flat(200, 100, 40), flat(40, 180, 160)
    half = ((content.int() + style.int()) // 2).to(torch.uint8)
    assert measures(half, content, style)["color"] == pytest.approx(0.5, abs=0.01)


def test_colours_farther_from_the_style_than_the_contents_are_below_zero() -> None:
    assert measures(flat(250, 250, 250), flat(150, 150, 150), flat(100, 100, 100))["color"] == -1
    farther = measures(flat(175, 175, 175), flat(150, 150, 150), flat(100, 100, 100))
    assert farther["color"] == pytest.approx(-0.5, abs=0.02)


def test_a_content_that_has_the_colours_of_its_style_leaves_no_distance_to_measure() -> None:
    assert np.isnan(measures(flat(9, 9, 9), CONTENT, CONTENT)["color"])


def test_the_place_of_edges_counts_and_the_sign_of_their_contrast_does_not() -> None:
    assert measures(255 - CONTENT, CONTENT, STYLE)["edges"] == pytest.approx(1, abs=1e-4)
    moved = torch.roll(CONTENT, 20, 0)
    assert measures(moved, CONTENT, STYLE)["edges"] < 0.5


def test_saturation_is_the_chroma_of_hsv() -> None:
    hsv = rgb2hsv(CONTENT.numpy())
    expected = (hsv[..., 1] * hsv[..., 2]).mean()
    assert measures(CONTENT, CONTENT, STYLE)["saturation"] == pytest.approx(expected, abs=1e-5)
    assert measures(flat(99, 99, 99), CONTENT, STYLE)["saturation"] == 0
    assert measures(flat(0, 0, 255), CONTENT, STYLE)["saturation"] == pytest.approx(1)


def test_cells_in_which_no_channel_varies_are_blank() -> None:
    assert measures(flat(128, 20, 0), CONTENT, STYLE)["blank"] == 1
    assert measures(CONTENT, CONTENT, STYLE)["blank"] == 0
    half = flat(128, 128, 128)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8))
    half[:, :32] = noise
    assert measures(half, CONTENT, STYLE)["blank"] == 0.5
    faint = flat(128, 128, 128)
    faint[::2] += 4  # a standard deviation of 2 levels
    assert measures(faint, CONTENT, STYLE)["blank"] == 1
    faint[::2] += 2  # of 3
    assert measures(faint, CONTENT, STYLE)["blank"] == 0


def test_sharpness_is_the_laplacian_beside_the_contents() -> None:
    x = quality.luminance(quality.small(STYLE[None]))
    padded = np.pad(x[0, 0].double().numpy(), 1, mode="edge")
    sides = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    expected = (sides - 4 * padded[1:-1, 1:-1]).std()
    assert quality.laplacian(x).std(correction=0).item() == pytest.approx(expected, rel=1e-4)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    sharp = torch.from_numpy(noise)
    fainter = (sharp // 2 + 64).to(torch.uint8)
    assert measures(fainter, sharp, STYLE)["sharpness"] == pytest.approx(0.5, abs=0.01)
    assert measures(flat(7, 7, 7), CONTENT, STYLE)["sharpness"] == 0


def test_copy_is_the_mean_ssim_of_the_channels() -> None:
    result = picture(1, scale=0.8)
    expected = structural_similarity(
        result.numpy() / 255,
        CONTENT.numpy() / 255,
        win_size=7,
        channel_axis=2,
        data_range=1,
        use_sample_covariance=False,
    )
    assert measures(result, CONTENT, STYLE)["copy"] == pytest.approx(expected, abs=1e-4)


def test_a_constant_content_has_no_edges_and_no_detail_to_keep() -> None:
    values = measures(CONTENT, flat(90, 90, 90), STYLE)
    assert np.isnan(values["edges"])
    assert np.isnan(values["sharpness"])
    assert 0 <= values["copy"] <= 1


def test_a_constant_result_keeps_no_edge() -> None:
    values = measures(flat(90, 90, 90), CONTENT, STYLE)
    assert (values["edges"], values["sharpness"], values["blank"]) == (0, 0, 1)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (700, 5)])
def test_pictures_of_any_size_have_measures(size: tuple[int, int]) -> None:
    values = measures(picture(3, *size), picture(4, *size), picture(5, 2, 2))
    for name, value in values.items():
        assert np.isnan(value) or -1 <= value <= (10 if name == "sharpness" else 1)


def test_a_pictures_measures_do_not_depend_on_its_batch() -> None:
    results, contents = ([picture(seed) for seed in seeds] for seeds in ((5, 6), (7, 8)))
    palettes = list(quality.palette(quality.small(torch.stack([picture(9), picture(10)]))))
    both = quality.measure(torch.stack(results), torch.stack(contents), palettes)
    alone = quality.measure(results[1][None], contents[1][None], palettes[1:])
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_larger_pictures_are_measured_on_copies_of_at_most_256_pixels() -> None:
    large = picture(1, 512, 384)
    assert quality.small(large[None]).shape == (1, 3, 256, 192)
    mean = large.float().mean() / 255
    assert quality.small(large[None]).mean() == pytest.approx(mean.item(), abs=1e-5)
