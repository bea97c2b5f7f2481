"""Whole calls of the engine on a GPU that is not there: devices, streams, and what gives way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine import cuda
from tests.fake_cuda.conftest import CUDA, latents
from tests.fake_cuda.watch import Watch

pytestmark = pytest.mark.fake_cuda

MakePipe = Callable[..., StyleIDPipeline]
PARAMS = StyleParams(steps=3)


def assert_in_order(watch: Watch) -> None:
    assert not watch.races
    assert not watch.unrecorded


def mixed(pipe: StyleIDPipeline, watch: Watch) -> list[Tensor]:
    """Latents of five pairs of pictures of several shapes, each with a strength of its own."""
    contents, styles = latents((64, 64), (48, 80), (64, 64)), latents((64, 48), (64, 64))
    params = [
        PARAMS.model_copy(update={"gamma": gamma, "temperature": temperature})
        for gamma, temperature in ((0.0, 1.0), (0.3, 1.5), (0.75, 2.0), (1.0, 0.5), (0.5, 1.0))
    ]
    pairs = [(0, 0), (1, 1), (2, 1), (0, 1), (2, 0)]
    with watch:
        return pipe.transfer_latents(contents, styles, pairs, params)


@pytest.mark.parametrize("features", ["device", "host"])
@pytest.mark.parametrize(
    ("dtype", "feature_dtype"),
    [
        (torch.float16, "auto"),
        (torch.bfloat16, "int8"),
        (torch.float32, "float16"),
    ],
)
def test_shapes_and_strengths_of_all_kinds_go_through_one_call(
    make_pipe: MakePipe, watch: Watch, features: str, dtype: torch.dtype, feature_dtype: str
) -> None:
    pipe = make_pipe(dtype, features=features, feature_dtype=feature_dtype)
    made = mixed(pipe, watch)
    assert [tuple(z.shape[1:]) for z in made] == [(64, 64), (48, 80), *[(64, 64)] * 3]
    assert {(z.device, z.dtype) for z in made} == {(CUDA, torch.float32)}
    assert pipe.counts.unet_evaluations == 5 * 3 + 5 * 2
    assert_in_order(watch)


@pytest.mark.parametrize("features", ["device", "host"])
def test_pictures_are_kept_for_later_calls_and_evicted_when_there_is_no_room(
    make_pipe: MakePipe, watch: Watch, features: str
) -> None:
    pipe = make_pipe(features=features, batch_size=2)
    keys = ["a", "b"], ["s", "t"]
    with watch:
        for _ in range(2):
            pipe.transfer_latents(
                latents(*[(64, 64)] * 2), latents(*[(64, 64)] * 2), "cross", PARAMS, keys=keys
            )
    assert (pipe.counts.inversions, pipe.counts.inversions_reused) == (4, 4)
    room = pipe.counts.peak_feature_bytes * 0.6 / 2**30
    tight = make_pipe(features=features, batch_size=1, feature_memory=room)
    with watch:
        tight.transfer_latents(latents(*[(64, 64)] * 2), latents(*[(64, 64)] * 2), "cross", PARAMS)
    assert tight.counts.inversions > 4
    assert tight.counts.peak_feature_bytes <= room * 2**30
    assert_in_order(watch)


@pytest.mark.parametrize("params", [{"inject": False}, {"adain": False}, {"preset": "diffusers"}])
def test_each_part_of_the_method_can_be_left_out(
    make_pipe: MakePipe, watch: Watch, params: dict[str, Any]
) -> None:
    pipe = make_pipe(features="host")
    with watch:
        (made,) = pipe.transfer_latents(
            latents((64, 64)), latents((48, 64)), params=StyleParams(steps=2, **params)
        )
    assert (made.shape, made.device) == ((4, 64, 64), CUDA)
    assert_in_order(watch)


def test_without_waiting_for_copies_a_step_would_race_with_them(
    make_pipe: MakePipe, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda.CopyStream, "wait", lambda self, event: None)
    pipe = make_pipe(features="host")
    with watch:
        pipe.transfer_latents(latents((64, 64)), latents((64, 64)), params=PARAMS)
    assert set(watch.races) == {"index_select on computing against stream 1"}


def test_the_fastest_batch_is_measured_at_the_first_call_alone(
    make_pipe: MakePipe, watch: Watch
) -> None:
    pipe = make_pipe(tuned=True, batch_size="auto", device_share=0.5)
    spent: list[int] = []
    with watch:
        for _ in range(2):
            before = pipe.unet_evaluations
            pipe.transfer_latents(latents((64, 64)), latents((64, 64)), params=PARAMS)
            spent.append(pipe.unet_evaluations - before)
    # One pair: the smallest of the batches is enough. It is measured in two calls of eight latents.
    assert spent == [2 * 8 + 2 * 3 + 2, 2 * 3 + 2]
    assert [note for note in pipe.notes if note.startswith("batch: 8 latents of 64 x 64")]
    assert_in_order(watch)


class FullOnce:
    """Calls of a model of which one fails as on a full device."""

    def __init__(self, forward: Callable[..., Any], at: int) -> None:
        self.forward, self.at, self.calls = forward, at, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.forward(*args, **kwargs)


# Calls 1 to 3 invert the four pictures, 4 and 5 sample the four pairs.
@pytest.mark.parametrize("at", [2, 5])
@pytest.mark.parametrize("features", ["auto", "device", "host"])
def test_memory_that_runs_out_once_loses_no_pair(
    make_pipe: MakePipe, watch: Watch, monkeypatch: pytest.MonkeyPatch, features: str, at: int
) -> None:
    pipe = make_pipe(features=features)
    full = FullOnce(pipe.unet.forward, at)
    monkeypatch.setattr(pipe.unet, "forward", full)
    with watch:
        made = pipe.transfer_latents(
            latents(*[(64, 64)] * 2), latents(*[(64, 64)] * 2), "cross", PARAMS
        )
    assert full.calls > 5
    assert [tuple(z.shape) for z in made] == [(4, 64, 64)] * 4
    assert any("out of memory" in note for note in pipe.notes)
    assert_in_order(watch)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pictures_go_through_the_autoencoder_and_back(
    make_pipe: MakePipe, watch: Watch, dtype: torch.dtype
) -> None:
    pipe = make_pipe(dtype, batch_size=8)
    pictures = [torch.zeros(512, 512, 3, dtype=torch.uint8) for _ in range(3)]
    pictures.append(torch.zeros(384, 640, 3, dtype=torch.uint8))
    decoded: dict[int, Tensor] = {}

    def take(rows: Any, pixels: Tensor, finite: Tensor) -> None:
        assert pixels.device == finite.device == CUDA
        decoded.update(zip(rows, pixels, strict=True))

    with watch:
        encoded = pipe.encode(pictures)
        waits = len(watch.waits)
        with torch.no_grad():
            pipe.autoencoder.decode(encoded, take)
    assert [tuple(z.shape) for z in encoded] == [(4, 64, 64)] * 3 + [(4, 48, 80)]
    assert {(z.device, z.dtype) for z in encoded} == {(CUDA, torch.float32)}
    assert [decoded[i].shape for i in range(4)] == [x.shape for x in pictures]
    assert len(watch.waits) == waits, "decoding leaves the waiting to whom it hands the pictures"


def test_pictures_that_do_not_fit_the_autoencoder_at_once_go_one_by_one(
    make_pipe: MakePipe, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe(batch_size=8)
    full = FullOnce(pipe.vae.encoder.forward, 1)
    monkeypatch.setattr(pipe.vae.encoder, "forward", full)
    with watch:
        encoded = pipe.encode([torch.zeros(512, 512, 3, dtype=torch.uint8) for _ in range(2)])
    assert len(encoded) == 2
    assert full.calls == 3
