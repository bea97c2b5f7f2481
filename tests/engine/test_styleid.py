"""The equations of the paper, on numbers small enough to write them out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styleid_ray.engine.schedule import Step
from styleid_ray.engine.styleid import (
    Injection,
    Protection,
    adain,
    inject,
    invert,
    scale_low_frequencies,
    share_out,
    stylise,
)

UP = (Step(1, 0.9, 0.6), Step(2, 0.6, 0.2))
DOWN = (Step(2, 0.2, 0.6), Step(1, 0.6, 0.9))


class ConstantNoise:
    """A model that sees the same noise everywhere, for which DDIM is exact."""

    def __init__(self, noise: Tensor) -> None:
        self.noise = noise
        self.injections: list[Injection | None] = []

    def __call__(self, z: Tensor, step: Step, injection: Injection | None = None) -> Tensor:
        self.injections.append(injection)
        return self.noise

    def record(self, z: Tensor, step: Step) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        return self.noise, {("q", 6): z.clone()}


def test_inversion_keeps_features_at_each_step_and_sampling_leads_back() -> None:
    z_0, noise = torch.randn(2, 1, 4, 4, 4).unbind(0)
    model, kept = ConstantNoise(noise), {}
    z_T = invert(model, z_0, UP, lambda i, features: kept.update({i: features["q", 6]}))
    assert kept.keys() == {0, 1}
    torch.testing.assert_close(kept[0], z_0)
    seen: list[tuple[Step, Tensor]] = []
    z, predicted = stylise(
        model, z_T, DOWN, [None, None], lambda step, z, z_0: seen.append((step, z))
    )
    torch.testing.assert_close(z, z_0)
    assert [step for step, _ in seen] == list(DOWN)
    torch.testing.assert_close(predicted, (z_0 - 0.1**0.5 * noise) / 0.9**0.5)


def test_each_step_gets_its_own_injection_and_a_missing_one_is_an_error() -> None:
    injections = [Injection({}, [], {}, {}), Injection({}, [], {}, {})]
    model = ConstantNoise(torch.zeros(1, 4, 4, 4))
    stylise(model, torch.randn(1, 4, 4, 4), DOWN, injections)
    assert model.injections == injections
    with pytest.raises(ValueError, match="shorter"):
        stylise(model, torch.randn(1, 4, 4, 4), DOWN, injections[:1])


def test_where_strength_is_0_sampling_ends_at_the_content_and_where_it_is_1_it_is_untouched() -> (
    None
):
    noise = torch.randn(1, 4, 4, 4)
    model, path = ConstantNoise(noise), []
    z_T = invert(ConstantNoise(torch.randn(1, 4, 4, 4)), torch.randn(1, 4, 4, 4), UP)
    z_0 = torch.randn(1, 4, 4, 4)
    invert(model, z_0, UP, passed=lambda i, z: path.append(z))
    strength = torch.zeros(1, 1, 4, 4)
    strength[..., 2:] = 1
    free, _ = stylise(model, z_T, DOWN, [None, None])
    # The levels that the two steps end at are those before the second and the first inversion step.
    z, predicted = stylise(
        model, z_T, DOWN, [None, None], protect=Protection(strength, lambda i: path[1 - i])
    )
    torch.testing.assert_close(z[..., :2], z_0[..., :2])
    torch.testing.assert_close(predicted[..., :2], z_0[..., :2])
    torch.testing.assert_close(z[..., 2:], free[..., 2:])


def test_injection_is_the_papers_attention_for_each_row_of_a_mixed_batch() -> None:
    q_cs, q_c = torch.randn(2, 3, 2, 9, 4).unbind(0)
    k_s, v_s = torch.randn(2, 3, 2, 7, 4).unbind(0)
    gamma = torch.tensor([0.0, 0.75, 1.0]).view(3, 1, 1, 1)
    tau = torch.tensor([1.0, 1.5, 2.0]).view(3, 1, 1, 1)
    out = inject(q_cs, q_c, k_s, v_s, gamma, tau)
    q = gamma * q_c + (1 - gamma) * q_cs
    weights = (tau * q @ k_s.transpose(-1, -2) / 4**0.5).softmax(-1)
    torch.testing.assert_close(out, weights @ v_s)


def test_two_styles_side_by_side_weigh_as_their_keys_do_in_one_softmax() -> None:
    q_cs, q_c = torch.randn(2, 1, 2, 9, 4).unbind(0)
    k, v = torch.randn(2, 1, 2, 10, 4).unbind(0)
    one = torch.ones(1, 1, 1, 1)
    bias = torch.tensor([0.25] * 6 + [0.75] * 4).log().view(1, 1, 1, 10)
    out = inject(q_cs, q_c, k, v, one, one, bias)
    scores = (q_c @ k.transpose(-1, -2) / 2).exp() * bias.exp()
    torch.testing.assert_close(out, scores / scores.sum(-1, keepdim=True) @ v)


def test_shares_divide_a_position_between_styles() -> None:
    one, two = torch.randn(2, 1, 2, 3, 3).unbind(0)
    shares = torch.tensor([[1.0, 0, 0.25], [0, 1.0, 0.75]]).view(2, 1, 1, 3, 1)
    out = share_out([one, two], shares)
    torch.testing.assert_close(out[:, :, 0], one[:, :, 0])
    torch.testing.assert_close(out[:, :, 1], two[:, :, 1])
    torch.testing.assert_close(out[:, :, 2], (0.25 * one + 0.75 * two)[:, :, 2])


def test_low_frequencies_are_scaled_and_high_ones_are_left() -> None:
    x = torch.arange(32.0).view(1, 1, 1, 32).expand(1, 1, 32, 32)
    slow, fast = torch.cos(2 * torch.pi * x / 32), torch.cos(2 * torch.pi * x / 2.4615384)
    torch.testing.assert_close(scale_low_frequencies(slow + fast, 1.0), slow + fast)
    scaled = scale_low_frequencies(slow + fast, 0.5)
    torch.testing.assert_close(scaled, 0.515 * slow + fast, atol=0.02, rtol=0)


def test_adain_takes_the_styles_statistics_and_keeps_the_contents_layout() -> None:
    z_c, z_s = torch.randn(2, 4, 8, 8), 3 * torch.randn(2, 4, 6, 10) + 1
    z = adain(z_c, z_s)
    torch.testing.assert_close(z.mean((2, 3)), z_s.mean((2, 3)))
    torch.testing.assert_close(z.std((2, 3)), z_s.std((2, 3)))
    torch.testing.assert_close(adain(z, z_c), z_c, atol=1e-5, rtol=1e-5)
