"""Large pictures are made window by window, with one style for all and without seams."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from styleid_ray.config import StyleParams
from styleid_ray.engine.windows import blend, cut
from styleid_ray.errors import ConfigError
from styleid_ray.model.footprint import picture_memory
from styleid_ray.model.windows import OVERLAP, Windows

PARAMS = StyleParams(steps=2, layers=(8, 11))


@pytest.mark.parametrize("side", [8, 16, 24])
@pytest.mark.parametrize("latent", [(40, 24), (64, 65), (100, 9)])
def test_windows_cover_a_latent_and_share_a_quarter_with_the_next(
    latent: tuple[int, int], side: int
) -> None:
    windows = Windows.over((4, *latent), side)
    for starts, length, whole in (
        (windows.tops, windows.height, latent[0]),
        (windows.lefts, windows.width, latent[1]),
    ):
        assert length == min(side, whole)
        assert starts[0] == 0
        assert starts[-1] + length == whole
        steps = [after - before for before, after in itertools.pairwise(starts)]
        assert all(0 < step <= round((1 - OVERLAP) * side) for step in steps)


@pytest.mark.parametrize("latent", [(16, 16), (12, 24), (32, 8), (19, 17)])
def test_a_latent_of_about_a_windows_area_is_seen_whole_whatever_its_shape(
    latent: tuple[int, int],
) -> None:
    windows = Windows.over(latent, 16)
    assert (len(windows), windows.height, windows.width) == (1, *latent)


def test_windows_that_are_cut_and_blended_are_the_latent() -> None:
    z = torch.randn(2, 4, 40, 24)
    windows = Windows.over(z.shape, 16)
    assert len(windows) == 6
    torch.testing.assert_close(blend(windows, cut(windows, z)), z)


def test_a_picture_that_fits_one_window_is_made_as_without_tiles(make_pipe: Any) -> None:
    z = torch.randn(2, 4, 16, 16)
    whole = make_pipe().transfer_latents(z[:1], z[1:], params=PARAMS)
    tiled = make_pipe(tile=16).transfer_latents(z[:1], z[1:], params=PARAMS)
    assert torch.equal(tiled, whole)


def test_windows_that_disagree_pass_smoothly_into_one_another() -> None:
    windows = Windows.over((64, 160), 64)
    levels = torch.arange(float(len(windows)))
    joined = blend(windows, [level.expand(1, 1, 64, 64) for level in levels])[0, 0]
    assert joined.min() == 0
    assert joined.max() == levels[-1]
    assert joined.diff(dim=1).max() < 2.5 / (OVERLAP * 64)


def step_over(z: Tensor, columns: tuple[int, ...]) -> float:
    """Steps between neighbouring columns at some places, over those everywhere."""
    steps = (z[..., 1:] - z[..., :-1]).abs().mean((0, 1, 2))
    return float(steps[[column - 1 for column in columns]].mean() / steps.mean())


def test_no_seam_is_seen_where_a_window_begins_or_ends(make_pipe: Any) -> None:
    torch.manual_seed(0)
    smooth = interpolate(torch.randn(1, 4, 4, 6), (16, 48), mode="bicubic")
    windows = Windows.over(smooth.shape, 16)
    edges = (*windows.lefts[1:], *(left + windows.width for left in windows.lefts[:-1]))
    out = make_pipe(tile=16).transfer_latents(smooth, torch.randn(1, 4, 16, 16), params=PARAMS)
    assert step_over(out, edges) < 1.1


@pytest.mark.parametrize("options", [{"features": "host"}, {"feature_dtype": "int8"}])
def test_tiles_and_stores_of_features_go_together(make_pipe: Any, options: dict[str, Any]) -> None:
    z_c, z_s = torch.randn(2, 4, 24, 32), torch.randn(2, 4, 16, 16)
    plain, other = (
        make_pipe(tile=16, **given).transfer_latents(z_c, z_s, params=PARAMS)
        for given in ({}, options)
    )
    assert (other - plain).norm() / plain.norm() < (2e-2 if "feature_dtype" in options else 1e-6)


def test_an_evaluation_is_counted_for_each_window_and_memory_as_reckoned(make_pipe: Any) -> None:
    pipe = make_pipe(tile=16)
    z_c, z_s = torch.randn(1, 4, 24, 32), torch.randn(1, 4, 16, 16)
    pipe.transfer_latents(z_c, z_s, params=PARAMS, keys=(["c"], ["s"]))
    windows = len(Windows.over(z_c.shape, 16))
    assert pipe.unet_evaluations == 2 * windows + 2 + windows
    for (role, *_), inversion in pipe.memory.kept.items():
        latent = tuple(inversion.z_T.shape[-2:])
        reckoned = picture_memory(pipe.model, latent, PARAMS.resolved(), "float32", 16)
        assert inversion.slot.memory.nbytes == getattr(reckoned, role)


def test_a_style_larger_than_a_window_is_attended_to_as_a_whole(make_pipe: Any) -> None:
    z_c, z_s = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 24, 24)
    pipe = make_pipe(tile=16)
    out = pipe.transfer_latents(z_c, z_s, params=PARAMS)
    one = pipe.transfer_latents(z_c, z_s[..., :16, :16], params=PARAMS)
    assert out.isfinite().all()
    assert (out - one).norm() / one.norm() > 0.01


def test_regions_and_masks_hold_across_windows(make_pipe: Any) -> None:
    z_c, z_s = torch.randn(1, 4, 24, 32), torch.randn(2, 4, 16, 16)
    pipe = make_pipe(tile=16)
    left = torch.zeros(24, 32)
    left[:, :12] = 1
    shares = torch.stack([left, 1 - left])
    both, first, second = (
        pipe.transfer_latents(z_c, z_s, [(0, styles)], PARAMS, shares=[parts])
        for styles, parts in (
            ((0, 1), shares),
            ((0, 1), torch.stack([left + 1 - left, 0 * left])),
            ((0, 1), torch.stack([0 * left, left + 1 - left])),
        )
    )
    near = ((both - first)[..., :6].norm(), (both - second)[..., :6].norm())
    far = ((both - first)[..., -8:].norm(), (both - second)[..., -8:].norm())
    assert near[0] < near[1]
    assert far[1] < far[0]


def test_a_tile_that_is_no_size_of_the_model_is_refused(make_pipe: Any) -> None:
    with pytest.raises(ConfigError, match="--tile 12: this model needs a multiple of 8"):
        make_pipe(tile=12)
