"""The effect of each control on a picture, in numbers, on the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.demo import INPUTS
from styleid_ray.engine import transfer
from styleid_ray.engine.regions import as_maps
from styleid_ray.engine.styleid import adain, scale_low_frequencies
from styleid_ray.errors import ConfigError

SIDE, STEPS = 128, 5
QUICK = StyleParams(steps=STEPS)
LEFT = np.s_[:, : SIDE // 2 - 16]
RIGHT = np.s_[:, SIDE // 2 + 16 :]


@pytest.fixture(scope="module")
def pipe() -> StyleIDPipeline:
    return StyleIDPipeline.from_pretrained("demo")


def picture(role: str, at: int) -> Image.Image:
    files = sorted((INPUTS / role).glob("*.png"))
    return Image.open(files[at]).convert("RGB").resize((SIDE, SIDE))


@pytest.fixture(scope="module")
def content() -> Image.Image:
    return picture("content", 0)


@pytest.fixture(scope="module")
def styles() -> list[Image.Image]:
    return [picture("style", 0), picture("style", 1)]


def made(
    pipe: StyleIDPipeline,
    content: Image.Image,
    styles: Sequence[Image.Image],
    pairs: Any = ((0, 0),),
    params: Any = QUICK,
    **options: Any,
) -> list[np.ndarray]:
    """Stylised pictures as float arrays [H, W, 3]."""
    pictures: dict[int, np.ndarray] = {}

    def take(rows: Sequence[int], pixels: Tensor, finite: Tensor) -> None:
        assert finite.all()
        pictures.update(zip(rows, pixels.numpy().astype(float), strict=True))

    pipe.stylize([content], styles, list(pairs), params, take, **options)
    return [pictures[row] for row in range(len(pictures))]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, ((a - b) ** 2).mean())))


def halves(left: int, right: int) -> Tensor:
    """uint8 [SIDE, SIDE]."""
    return (
        torch.tensor([left, right], dtype=torch.uint8).repeat_interleave(SIDE // 2).repeat(SIDE, 1)
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The initial latents and the injections of each batch that is sampled."""
    seen: list[dict[str, Any]] = []
    stylise = transfer.stylise

    def record(denoise: Any, z: Tensor, steps: Any, injections: Any, **rest: Any) -> Any:
        injections = list(injections)
        seen.append({"z": z.clone(), "injections": injections})
        return stylise(denoise, z, steps, injections, **rest)

    monkeypatch.setattr(transfer, "stylise", record)
    return seen


def test_controls_at_their_neutral_values_change_no_bit_and_cost_nothing(
    make_pipe: Any, inputs: dict[str, Any]
) -> None:
    plain, neutral = make_pipe(), make_pipe()
    want = plain.transfer_latents(inputs["z0_content"], inputs["z0_style"], params=QUICK)
    params = StyleParams(
        steps=STEPS, gamma="6-8=0.75,9-11=0.75", temperature="1.5", adain=1, low_frequency=1
    )
    got = neutral.transfer_latents(inputs["z0_content"], inputs["z0_style"], params=params)
    assert torch.equal(got, want)
    assert neutral.counts == plain.counts


def test_a_schedule_gives_each_layer_and_step_its_gamma(
    make_pipe: Any, inputs: dict[str, Any], calls: list[dict[str, Any]]
) -> None:
    params = StyleParams(
        steps=STEPS, layers="6-9", gamma="6-8=cosine:0.8:0.4,9=0.1", temperature="linear:1:2.5"
    )
    pairs = [(0, 0), (0, 0)]
    each = [params, params.model_copy(update={"gamma": 0.3, "temperature": 1.2})]
    make_pipe().transfer_latents(inputs["z0_content"], inputs["z0_style"], pairs, each)
    injections = calls[0]["injections"]
    gammas = [injection.gamma[6].flatten().tolist() for injection in injections]
    # 0.6 + 0.2 cos(π i / 3)
    assert gammas == [pytest.approx([g, 0.3]) for g in (0.8, 0.7, 0.5, 0.4)]
    assert [i.gamma[9].flatten().tolist() for i in injections] == [pytest.approx([0.1, 0.3])] * 4
    taus = [injection.temperature[7].flatten().tolist() for injection in injections]
    assert taus == [pytest.approx([t, 1.2]) for t in (1, 1.5, 2, 2.5)]


def test_a_falling_gamma_lies_between_its_two_ends(
    pipe: StyleIDPipeline, content: Image.Image, styles: list[Image.Image]
) -> None:
    params = [StyleParams(steps=STEPS, gamma=g) for g in (0.9, "linear:0.9:0.1", 0.1)]
    high, falling, low = made(pipe, content, styles, [(0, 0)] * 3, params)
    assert psnr(falling, high) > psnr(low, high)
    assert psnr(falling, low) > psnr(low, high)


def test_half_of_adain_is_the_mean_of_both_initial_latents(
    make_pipe: Any, inputs: dict[str, Any], calls: list[dict[str, Any]]
) -> None:
    z_c, z_s = inputs["z0_content"][:1], inputs["z0_style"][:1]
    pipe = make_pipe()
    for share in (True, 0.5, False):
        params = StyleParams(steps=STEPS, adain=share)
        pipe.transfer_latents(z_c, z_s, params=params)
    whole, half, none = (call["z"] for call in calls)
    torch.testing.assert_close(half, (whole + none) / 2)
    torch.testing.assert_close(none, pipe.invert_latents(z_c, QUICK).z_T)


def test_low_frequencies_are_scaled_before_adain(
    make_pipe: Any, inputs: dict[str, Any], calls: list[dict[str, Any]]
) -> None:
    z_c, z_s = inputs["z0_content"][:1], inputs["z0_style"][:1]
    pipe = make_pipe()
    pipe.transfer_latents(z_c, z_s, params=StyleParams(steps=STEPS, low_frequency=0.4))
    c, s = (pipe.invert_latents(z, QUICK).z_T for z in (z_c, z_s))
    torch.testing.assert_close(calls[0]["z"], adain(scale_low_frequencies(c, 0.4), s))


def test_a_protected_region_is_the_contents_reconstruction_and_the_rest_as_without_a_mask(
    pipe: StyleIDPipeline, content: Image.Image, styles: list[Image.Image]
) -> None:
    before = pipe.unet_evaluations
    (free,) = made(pipe, content, styles)
    cost = pipe.unet_evaluations - before
    (masked,) = made(pipe, content, styles, masks=[halves(0, 255)])
    assert pipe.unet_evaluations == before + 2 * cost
    rebuilt = np.asarray(pipe.decode(pipe.encode([content]))[0]).astype(float)
    assert psnr(masked[LEFT], rebuilt[LEFT]) > 60
    assert psnr(masked[RIGHT], free[RIGHT]) > psnr(rebuilt[RIGHT], free[RIGHT]) + 10
    (open_,) = made(pipe, content, styles, masks=[halves(255, 255)])
    assert np.abs(open_ - free).max() <= 1
    mask = Image.fromarray(halves(0, 255).numpy())
    for given, expected in zip(as_maps([mask]) or [], [halves(0, 255)], strict=True):
        assert torch.equal(given, expected)
    # Two calls may round differently where their memory is aligned differently.
    (given,) = pipe([content], styles[:1], params=QUICK, masks=[mask])
    assert np.abs(np.asarray(given) - masked).max() <= 1
    # Sampling itself protects, not only the last touch on the pixels.
    (closed,) = made(pipe, content, styles, masks=[halves(0, 0)])
    assert psnr(closed, rebuilt) > 60


@pytest.mark.parametrize("preset", ["paper", "diffusers"])
def test_sampling_follows_the_contents_path_where_it_is_protected(
    make_pipe: Any, inputs: dict[str, Any], preset: Any
) -> None:
    z_c, z_s = inputs["z0_content"][:1], inputs["z0_style"][:1]
    strength = torch.zeros(z_c.shape[-2:])
    strength[:, strength.shape[1] // 2 :] = 1
    pipe, params = make_pipe(), StyleParams(preset=preset, steps=STEPS)
    got = pipe.transfer_latents(z_c, z_s, params=params, strengths=[strength])
    torch.testing.assert_close(got * (1 - strength), z_c * (1 - strength))
    assert (got - z_c)[..., strength.shape[1] // 2 :].abs().mean() > 0.05


def test_each_class_takes_its_own_style(
    pipe: StyleIDPipeline, content: Image.Image, styles: list[Image.Image]
) -> None:
    one, two = made(pipe, content, styles, [(0, 0), (0, 1)])
    (both,) = made(pipe, content, styles, [(0, (0, 1))], label_maps=[halves(0, 7)], classes=[(7,)])
    assert psnr(both[LEFT], one[LEFT]) > psnr(both[LEFT], two[LEFT]) + 3
    assert psnr(both[RIGHT], two[RIGHT]) > psnr(both[RIGHT], one[RIGHT]) + 3


def test_weights_lead_from_one_style_to_the_other(
    pipe: StyleIDPipeline, content: Image.Image, styles: list[Image.Image]
) -> None:
    one, two = made(pipe, content, styles, [(0, 0), (0, 1)])
    weights = [(0.999, 0.001), (0.5, 0.5), (0.001, 0.999)]
    mixed = made(pipe, content, styles, [(0, (0, 1))] * 3, weights=weights)
    nearness = [psnr(x, one) - psnr(x, two) for x in mixed]
    assert nearness == sorted(nearness, reverse=True)
    assert psnr(mixed[0], one) > 35
    assert psnr(mixed[2], two) > 35


def test_detail_gives_edges_back_that_the_autoencoder_loses(
    pipe: StyleIDPipeline, content: Image.Image, styles: list[Image.Image]
) -> None:
    source = np.asarray(content).astype(float)
    keep = {"masks": [halves(0, 0)]}
    without, half, whole = (
        made(pipe, content, styles, params=QUICK.model_copy(update={"detail": s}), **keep)[0]
        for s in (0.0, 0.5, 1.0)
    )
    assert psnr(without, source) + 3 < psnr(half, source) < psnr(whole, source)
    assert np.abs(whole - source).max() <= 2
    grey = QUICK.model_copy(update={"detail": 1.0, "detail_luminance": True})
    (grey_detail,) = made(pipe, content, styles, params=grey, **keep)
    added = grey_detail - without
    inside = (without > 8).all(-1) & (without < 247).all(-1) & (np.abs(added) < 8).all(-1)
    assert np.ptp(added[inside], axis=-1).max() <= 2, "it changes the colours"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"masks": [torch.zeros(8, 8, dtype=torch.uint8)]}, "one mask per content"),
        ({"masks": []}, "one mask per content"),
        ({"masks": [halves(0, 1).bool()]}, "holds uint8"),
        ({"label_maps": [halves(0, 1)]}, "go together"),
        ({"label_maps": [halves(0, 1)], "classes": [(1, 2)]}, "one class per style"),
        ({}, "needs weights, or regions"),
        ({"weights": [(1.0,)]}, "one per style"),
        ({"weights": [(0.5, 0.6)]}, "of sum 1"),
        ({"weights": [(0.0, 1.0)]}, "above 0"),
        (
            {"weights": [(0.5, 0.5)], "label_maps": [halves(0, 1)], "classes": [(1,)]},
            "give one of them",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_before_any_picture_is_encoded(
    pipe: StyleIDPipeline,
    content: Image.Image,
    styles: list[Image.Image],
    options: dict[str, Any],
    reason: str,
) -> None:
    before = pipe.steps
    with pytest.raises(ConfigError, match=reason):
        made(pipe, content, styles, [(0, (0, 1))], **options)
    assert pipe.steps == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"strengths": []}, "0 strengths for 1 pairs"),
        ({"strengths": [torch.ones(4, 4)]}, r"must be \[16, 16\]"),
        ({"shares": [torch.ones(2, 16, 16)]}, r"must be \[1, 16, 16\]"),
    ],
)
def test_regions_of_another_shape_are_refused(
    make_pipe: Any, options: dict[str, Any], reason: str
) -> None:
    z = torch.zeros(1, 4, 16, 16)
    with pytest.raises(ConfigError, match=reason):
        make_pipe().transfer_latents(z, z, params=QUICK, **options)


def test_masked_contents_keep_their_path_in_the_bytes_that_are_counted(make_pipe: Any) -> None:
    z = torch.randn(1, 4, 16, 16)
    made = []
    for place in ("device", "host"):
        pipe = make_pipe(features=place)
        strengths, keys = [torch.zeros(16, 16)], (["c"], ["s"])
        made.append(pipe.transfer_latents(z, z, params=QUICK, strengths=strengths, keys=keys))
        content, style = pipe.memory.kept.values()
        assert content.path.shape == (STEPS, 4, 16, 16)
        assert style.path is None
        assert content.nbytes == (1 + STEPS) * z.nbytes + content.slot.memory.nbytes
    torch.testing.assert_close(made[0], made[1])


def test_a_value_that_is_drawn_is_for_jobs_alone(
    pipe: StyleIDPipeline, content: Image.Image, styles: list[Image.Image]
) -> None:
    with pytest.raises(ConfigError, match=r"gamma 0\.3\.\.0\.6: .*drawn per pair"):
        made(pipe, content, styles, params=StyleParams(steps=STEPS, gamma="0.3..0.6"))
