"""What is kept of inverted pictures, where, and in how much memory."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine.batching import is_out_of_memory
from styleid_ray.engine.compiling import compile_blocks
from styleid_ray.engine.features import NAMES, Inversion, StoredFeatures, Trajectory, new_kept
from styleid_ray.engine.memory import GIB, Room, choose_store, features_nbytes
from styleid_ray.errors import JobError

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


def picture_bytes(pipe: Any, role: Any, dtype: torch.dtype = torch.float32) -> int:
    """z_T and features of one picture of 16 x 16 latents."""
    features = features_nbytes(pipe.unet.config, (4, 16, 16), QUICK.resolved(), role, dtype)
    return 4 * 16 * 16 * 4 + features


@pytest.mark.parametrize("store", ["host", "recompute"])
def test_every_feature_store_gives_the_same_pictures(
    transfer: Callable[..., tuple[Tensor, Any]], store: str
) -> None:
    kept, _ = transfer(features="device")
    other, pipe = transfer(features=store)
    assert pipe.choice.store == store
    assert error(other, kept) <= 1e-4


def test_recomputing_costs_evaluations_where_keeping_costs_memory(
    transfer: Callable[..., tuple[Tensor, Any]],
) -> None:
    _, kept = transfer(features="device", batch_size=9)
    _, recomputed = transfer(features="recompute", batch_size=9)
    assert kept.counts.unet_evaluations == 6 * 4 + 9 * 3
    # At each of the three sampling steps all six pictures once more.
    assert recomputed.counts.unet_evaluations == 6 * 4 + 9 * 3 + 6 * 3
    assert kept.counts.peak_feature_bytes == 3 * (
        picture_bytes(kept, "content") + picture_bytes(kept, "style")
    )
    assert recomputed.counts.peak_feature_bytes == 6 * (4 * 16 * 16 * 4) * (1 + 4)


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
    for inversion in pipe.cache.entries.values():
        shape = tuple(inversion.z_T.shape)
        want = features_nbytes(
            pipe.unet.config, shape, params.resolved(), inversion.role, getattr(torch, dtype)
        )
        assert inversion.kept.nbytes == want
    assert {x.role for x in pipe.cache.entries.values()} == set(NAMES)


def test_stable_diffusion_keeps_a_gigabyte_a_style_and_half_of_it_a_content() -> None:
    config = {
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": 8,
        "layers_per_block": 2,
    }
    sizes = [
        features_nbytes(config, (4, 64, 64), StyleParams().resolved(), role, torch.float16)
        for role in ("content", "style")
    ]
    assert [round(size / 1e9, 2) for size in sizes] == [0.59, 1.18]


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
    assert pipe.cache.nbytes == 0
    assert not pipe.cache.entries


def test_a_content_is_never_taken_for_a_style_of_the_same_key(
    make_pipe: Any, latents: Tensor
) -> None:
    pipe = make_pipe()
    same = pipe.transfer_latents(latents[:1], latents[:1], params=QUICK, keys=("a", "a"))
    other = make_pipe().transfer_latents(latents[:1], latents[:1], params=QUICK)
    assert pipe.counts.inversions == 2
    assert error(same, other) <= 1e-4


def test_compiled_blocks_give_the_same_pictures(make_pipe: Any, latents: Tensor) -> None:
    pipe = make_pipe()
    want = pipe.transfer_latents(latents[:2], latents[3:4], params=QUICK)
    blocks = copy.deepcopy(pipe.unet)
    # Captured as for the compiler, but run as it is: no C++ compiler is needed.
    compile_blocks(blocks, backend="aot_eager")
    compiled = StyleIDPipeline(
        unet=blocks, scheduler=pipe.scheduler, null_embedding=pipe.denoise.null_embedding
    )
    got = compiled.transfer_latents(latents[:2], latents[3:4], params=QUICK)
    assert error(got, want) <= 1e-4


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


@pytest.mark.parametrize(
    ("message", "memory"),
    [
        ("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)", True),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_memory_that_libraries_beside_pytorch_ran_out_of_is_recognised(
    message: str, memory: bool
) -> None:
    assert is_out_of_memory(RuntimeError(message)) is memory


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


@pytest.mark.parametrize(
    ("need", "on_cpu", "store"),
    [(5, False, "device"), (15, False, "host"), (25, False, "recompute"), (25, True, "recompute")],
)
def test_the_fastest_store_that_fits_is_taken_and_the_reason_given(
    need: int, on_cpu: bool, store: str
) -> None:
    choice = choose_store(
        "auto", Room(need * GIB, (need + 1) * GIB), Room(10 * GIB, 20 * GIB), on_cpu
    )
    assert choice.store == store
    assert f"{need if store == 'device' else need + 1:.2f} GiB" in choice.why


@pytest.mark.parametrize(("store", "capacity"), [("device", 10), ("host", 20), ("recompute", 10)])
def test_a_store_is_bounded_by_the_memory_that_it_lies_in(store: str, capacity: int) -> None:
    free = Room(10 * GIB, 20 * GIB)
    assert choose_store(store, Room(0, 0), free, on_cpu=False).capacity == capacity * GIB


def test_the_store_that_was_chosen_is_logged_once_with_its_reason(
    make_pipe: Any, latents: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = make_pipe()
    with caplog.at_level(logging.INFO, "styleid_ray"):
        for _ in range(2):
            pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("features:")]
    assert len(lines) == 1
    assert lines[0].startswith("features: device (")


def test_eight_bits_hold_each_token_of_each_head_within_a_percent_of_its_largest_value() -> None:
    x = torch.randn(2, 9, 8) * torch.tensor([1e-3, 50.0]).view(2, 1, 1)
    kept = StoredFeatures(torch.int8, torch.device("cpu"))
    kept.record(1, torch.empty(0), {("k", 6): x, ("v", 6): torch.zeros(2, 9, 8)})
    back = kept.steps[1].unpack(torch.float32)
    assert bool(((back["k", 6] - x).abs() <= 0.01 * x.abs().amax(-1, keepdim=True)).all())
    assert not back["v", 6].any()


def test_what_is_not_kept_is_only_the_latents_that_lead_to_it() -> None:
    kept = new_kept("recompute", torch.float32, torch.device("cpu"))
    z = torch.randn(4, 8, 8)
    kept.record(1, z, {("q", 6): torch.randn(2, 4, 8)})
    assert isinstance(kept, Trajectory)
    assert Inversion(z, kept, "content").nbytes == 2 * z.nbytes
