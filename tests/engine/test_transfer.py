"""Inversions that are kept for pairs, in how much memory, and what happens when it runs out."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from styleid_ray import StyleParams
from styleid_ray.engine.layout import KEPT
from styleid_ray.engine.memory import GIB
from styleid_ray.errors import JobError
from styleid_ray.model.description import describe
from styleid_ray.model.footprint import picture_memory

QUICK = StyleParams(steps=4)
PAIRS = [(i, j) for i in range(3) for j in range(3)]


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def transfer(make_pipe: Any, latents: Tensor) -> Callable[..., tuple[Tensor, Any]]:
    """Nine pairs on a pipeline with the given options; returns the latents and the pipeline."""

    def run(**options: Any) -> tuple[Tensor, Any]:
        pipe = make_pipe(**options)
        return pipe.transfer_latents(latents[:3], latents[3:], PAIRS, QUICK), pipe

    return run


def features_nbytes(pipe: Any, shape: Any, params: Any, role: str, dtype: str = "float32") -> int:
    picture = picture_memory(pipe.model, shape[-2:], params.resolved(), dtype)
    return picture.content if role == "content" else picture.style


def picture_bytes(pipe: Any, role: str) -> int:
    """z_T and features of one picture of 16 x 16 latents."""
    return 4 * 16 * 16 * 4 + features_nbytes(pipe, (16, 16), QUICK, role)


def test_features_on_the_host_give_the_same_pictures(
    transfer: Callable[..., tuple[Tensor, Any]],
) -> None:
    kept, _ = transfer(features="device")
    other, pipe = transfer(features="host")
    assert pipe.memory.bank.place == "host"
    assert error(other, kept) <= 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_features_take_exactly_the_bytes_that_were_reckoned(make_pipe: Any, dtype: str) -> None:
    params = StyleParams(steps=2, layers=(4, 8, 11))
    pipe = make_pipe(features="device", feature_dtype=dtype)
    pipe.transfer_latents(
        torch.randn(1, 4, 16, 24),
        torch.randn(2, 4, 24, 16),
        params=params,
        keys=(["c"], ["s", "t"]),
    )
    for (role, *_), inversion in pipe.memory.kept.items():
        shape = tuple(inversion.z_T.shape)
        want = features_nbytes(pipe, shape, params, role, dtype)
        assert inversion.slot.memory.nbytes == want
        assert inversion.nbytes == want + inversion.z_T.nbytes
    assert {role for role, *_ in pipe.memory.kept} == set(KEPT)


def test_stable_diffusion_keeps_a_gigabyte_per_style_and_half_of_it_per_content() -> None:
    config = {
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": 8,
        "layers_per_block": 2,
        "up_block_types": ["UpBlock2D"] + 3 * ["CrossAttnUpBlock2D"],
    }
    picture = picture_memory(describe(config), (64, 64), StyleParams().resolved(), "float16")
    assert [round(x / 1e9, 2) for x in (picture.content, picture.style)] == [0.59, 1.18]


@pytest.mark.parametrize(
    ("dtype", "most"), [("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 1.5e-2)]
)
def test_smaller_stored_features_change_the_result_little(
    transfer: Callable[..., tuple[Tensor, Any]], dtype: str, most: float
) -> None:
    exact, whole = transfer(features="device")
    stored, small = transfer(features="device", feature_dtype=dtype)
    assert 0 < error(stored, exact) <= most
    assert small.counts.peak_feature_bytes < 0.6 * whole.counts.peak_feature_bytes


def test_a_bound_on_memory_is_kept_and_costs_only_inversions(
    transfer: Callable[..., tuple[Tensor, Any]],
) -> None:
    free, pipe = transfer(features="device", batch_size=2)
    assert pipe.counts.inversions == 6
    need = 3 * picture_bytes(pipe, "content") + 2 * picture_bytes(pipe, "style")
    # Room for all contents and two styles: the styles pass by, each inverted once all the same.
    tight, pipe = transfer(features="device", batch_size=2, feature_memory=need / GIB)
    assert pipe.counts.inversions == 6
    assert pipe.counts.peak_feature_bytes <= need
    # Less than the smaller side needs: pictures are inverted again, none is left out.
    least = 2 * (picture_bytes(pipe, "content") + picture_bytes(pipe, "style"))
    tighter, pipe = transfer(features="device", batch_size=2, feature_memory=least / GIB)
    assert pipe.counts.inversions > 6
    assert pipe.counts.peak_feature_bytes <= least
    assert error(tight, free) <= 1e-4
    assert error(tighter, free) <= 1e-4


def test_pictures_that_come_back_in_a_later_call_are_not_inverted_again(
    make_pipe: Any, latents: Tensor
) -> None:
    pipe = make_pipe(features="device")
    first = pipe.transfer_latents(latents[:2], latents[3:5], params=QUICK, keys=("ab", "st"))
    assert (pipe.counts.inversions, pipe.counts.inversions_reused) == (4, 0)
    again = pipe.transfer_latents(latents[1:3], latents[4:6], params=QUICK, keys=("bc", "tu"))
    assert (pipe.counts.inversions, pipe.counts.inversions_reused) == (6, 2)
    alone = make_pipe().transfer_latents(latents[1:2], latents[4:5], params=QUICK)
    assert error(first[3], alone[0]) <= 1e-4
    assert error(again[0], alone[0]) <= 1e-4
    pipe.transfer_latents(latents[:1], latents[3:4], params=StyleParams(steps=5), keys=("a", "s"))
    assert pipe.counts.inversions == 8


def test_calls_without_keys_keep_nothing(transfer: Callable[..., tuple[Tensor, Any]]) -> None:
    _, pipe = transfer()
    assert pipe.memory.nbytes == 0
    assert not pipe.memory.kept


def test_a_content_is_never_taken_for_a_style_of_the_same_key(
    make_pipe: Any, latents: Tensor
) -> None:
    pipe = make_pipe()
    same = pipe.transfer_latents(latents[:1], latents[:1], params=QUICK, keys=("a", "a"))
    other = make_pipe().transfer_latents(latents[:1], latents[:1], params=QUICK)
    assert pipe.counts.inversions == 2
    assert error(same, other) <= 1e-4


class OutOfMemory:
    """A UNet call that fails as a full device does for more than `most` latents."""

    def __init__(self, pipe: Any, most: int) -> None:
        self.forward, self.most, self.sizes = pipe.unet.forward, most, []
        self.raised = 0

    def __call__(self, z: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.sizes.append(len(z))
        if len(z) > self.most:
            self.raised += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.forward(z, *args, **kwargs)


@pytest.mark.parametrize("most", [1, 3])
def test_a_batch_that_does_not_fit_is_halved_and_no_pair_is_lost(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    want = make_pipe().transfer_latents(latents[:3], latents[3:], params=QUICK)
    pipe = make_pipe(batch_size=8)
    memory = OutOfMemory(pipe, most)
    monkeypatch.setattr(pipe.unet, "forward", memory)
    got = pipe.transfer_latents(latents[:3], latents[3:], params=QUICK)
    assert error(got, want) <= 1e-4
    assert 1 <= memory.raised <= 3
    assert pipe.counts.batch_halvings == {1: 3, 3: 2}[most]
    pipe.transfer_latents(latents[:3], latents[3:], params=QUICK)
    assert memory.raised <= 3, "what was learned about the memory is forgotten"


def test_a_picture_that_alone_does_not_fit_is_an_error_that_says_what_to_do(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe()
    monkeypatch.setattr(pipe.unet, "forward", OutOfMemory(pipe, 0))
    with pytest.raises(JobError, match=r"16 x 16 latents.*smaller --size"):
        pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)


def test_an_error_that_is_not_about_memory_is_not_swallowed(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(pipe.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)


def test_the_store_that_was_chosen_is_logged_once_with_its_reason(
    make_pipe: Any, latents: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = make_pipe()
    with caplog.at_level(logging.INFO, "styleid_ray"):
        for _ in range(2):
            pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("features kept")]
    assert len(lines) == 1
    assert re.fullmatch(r"features kept on the device: \S+ GiB of \S+ GiB available", lines[0])
