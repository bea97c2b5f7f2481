from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from styleid_ray import StyleParams
from styleid_ray.engine import attention
from styleid_ray.errors import ConfigError

QUICK = StyleParams(steps=4)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return float((a - b).norm() / b.norm()) <= tolerance


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_pair_comes_out_the_same_alone_in_a_mixed_batch_and_after_other_work(
    make_pipe: Any, latents: Tensor
) -> None:
    contents, styles = latents[:3], latents[3:]
    pipe = make_pipe(batch_size=5)
    together = pipe.transfer_latents(contents, styles, "cross", QUICK)
    backwards = [(i, j) for i in range(3) for j in range(3)][::-1]
    reversed_ = pipe.transfer_latents(contents, styles, backwards, QUICK)
    for row, (i, j) in enumerate((i, j) for i in range(3) for j in range(3)):
        alone = pipe.transfer_latents(contents[i : i + 1], styles[j : j + 1], "zip", QUICK)
        assert close(together[row], alone[0]), (i, j)
        assert close(reversed_[-1 - row], alone[0]), (i, j)


def test_contents_and_styles_of_different_shapes_go_through_one_call(
    make_pipe: Any, latents: Tensor
) -> None:
    # Not smaller: this UNet normalises each channel over the two values that 8 x 16 leaves.
    contents = [latents[0], torch.cat([latents[1], latents[5, :, :8]], 1), latents[2]]
    styles = [latents[3], latents[4, :, :, :8]]
    pipe = make_pipe()
    together = pipe.transfer_latents(contents, styles, "cross", QUICK)
    assert [tuple(z.shape) for z in together] == [(4, 16, 16)] * 2 + [(4, 24, 16)] * 2 + [
        (4, 16, 16)
    ] * 2
    for row, (i, j) in enumerate((i, j) for i in range(3) for j in range(2)):
        alone = pipe.transfer_latents([contents[i]], [styles[j]], "zip", QUICK)
        assert close(together[row], alone[0]), (i, j)


def test_pairs_may_differ_in_gamma_and_temperature(make_pipe: Any, latents: Tensor) -> None:
    each = [
        StyleParams(steps=4, gamma=0.2),
        StyleParams(steps=4, temperature=1.0),
        StyleParams(steps=4, gamma=1.0, temperature=2.0),
    ]
    pairs = [(0, 0)] * 3
    pipe = make_pipe()
    together = pipe.transfer_latents(latents[:1], latents[3:4], pairs, each)
    for z, params in zip(together, each, strict=True):
        alone = pipe.transfer_latents(latents[:1], latents[3:4], params=params)
        assert close(z, alone[0])
    assert not close(together[0], together[1])


def test_a_parameter_of_the_method_given_by_name_is_pointed_to_params(make_pipe: Any) -> None:
    with pytest.raises(TypeError, match=r"^gamma, steps: give params=StyleParams\(gamma=\.\.\., "):
        make_pipe()([], [], gamma=0.3, steps=5)


def test_params_of_one_call_that_differ_in_more_are_refused(
    make_pipe: Any, latents: Tensor
) -> None:
    with pytest.raises(ConfigError, match="gamma and temperature alone"):
        make_pipe().transfer_latents(
            latents[:1], latents[3:4], [(0, 0)] * 2, [QUICK, StyleParams(steps=5)]
        )


@pytest.mark.parametrize(
    ("params", "evaluations"),
    [
        (StyleParams(steps=4), (3 + 2) * 4 + 6 * 3),
        (StyleParams(steps=4, preset="diffusers"), (3 + 2) * 4 + 6 * 4),
        (StyleParams(steps=4, inject=False), (3 + 2) * 4 + 6 * 3),
        (StyleParams(steps=4, inject=False, adain=False), 3 * 4 + 6 * 3),
    ],
)
def test_every_picture_is_inverted_once_and_the_evaluations_are_counted(
    make_pipe: Any, latents: Tensor, params: StyleParams, evaluations: int
) -> None:
    pipe = make_pipe()
    pipe.transfer_latents(latents[:3], latents[3:5], "cross", params)
    assert pipe.unet_evaluations == evaluations


def test_pictures_that_no_pair_names_cost_nothing(make_pipe: Any, latents: Tensor) -> None:
    pipe = make_pipe()
    pipe.transfer_latents(latents[:3], latents[3:6], [(1, 2)], QUICK)
    assert pipe.unet_evaluations == 4 + 4 + 3


@pytest.mark.parametrize("option", ["adain", "inject"])
def test_each_ablation_switch_changes_the_result(
    make_pipe: Any, latents: Tensor, option: str
) -> None:
    pipe = make_pipe()
    whole = pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    ablated = pipe.transfer_latents(
        latents[:1], latents[3:4], params=QUICK.model_copy(update={option: False})
    )
    assert not close(ablated, whole, 1e-2)


def test_the_unets_own_attention_is_back_after_work_and_after_an_exception(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe()
    before = dict(pipe.unet.attn_processors)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert pipe.unet.attn_processors == before

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(attention, "scaled_dot_product_attention", broken)
    with pytest.raises(RuntimeError, match="on purpose"):
        pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert pipe.unet.attn_processors == before


def test_layers_that_the_unet_lacks_are_named_with_those_it_has(
    make_pipe: Any, latents: Tensor
) -> None:
    with pytest.raises(ConfigError, match=r"--layers 2, 12: this model has no such .* are 3-11"):
        make_pipe().transfer_latents(
            latents[:1], latents[3:4], params=StyleParams(steps=4, layers=(2, 6, 12))
        )


@pytest.mark.parametrize("pairs", [[(0, 5)], [(-1, 0)], "all", "zip"])
def test_pairs_that_make_no_sense_are_refused(make_pipe: Any, latents: Tensor, pairs: Any) -> None:
    with pytest.raises(ConfigError):
        make_pipe().transfer_latents(latents[:2], latents[3:4], pairs, QUICK)


def test_features_hold_queries_keys_and_values_of_each_layer_and_timestep(
    make_pipe: Any, latents: Tensor
) -> None:
    inversion = make_pipe(batch_size=2).invert_latents(latents[:3], QUICK)
    layers, timesteps = (6, 7, 8, 9, 10, 11), (1, 251, 501, 751)
    assert inversion.features.keys() == set(product("qkv", layers, timesteps))
    assert inversion.features["q", 11, 1].shape == (3, 8, 256, 4)
