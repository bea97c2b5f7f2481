"""Arithmetic, memory, copies and waits of a call, as reckoned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench import evaluate
from benchmarks.sd1 import EMBEDDING, TOKENS
from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.model.footprint import picture_memory
from tests.fake_cuda.conftest import CUDA, latents
from tests.fake_cuda.watch import Watch

pytestmark = pytest.mark.fake_cuda

MakePipe = Callable[..., StyleIDPipeline]
SQUARE = (64, 64)
LATENT_BYTES = 4 * 64 * 64 * 4


def grid(pipe: StyleIDPipeline, contents: int, styles: int, steps: int, **options: Any) -> None:
    """Every content with every style, all of 512 x 512 pixels."""
    c, s = latents(*[SQUARE] * contents), latents(*[SQUARE] * styles)
    pipe.transfer_latents(c, s, "cross", StyleParams(steps=steps), **options)


def projection_flops(pipe: StyleIDPipeline) -> tuple[int, int]:
    """FLOP of keys and values, of one latent in one evaluation: of the injected self-attention
    layers, and of the prompt in every cross-attention layer."""
    own = prompt = 0
    for name, module in pipe.unet.named_modules():
        if name.endswith("attn2"):
            prompt += 2 * 2 * TOKENS * EMBEDDING * module.to_k.out_features
        elif name.endswith("attn1") and name.startswith(("up_blocks.2", "up_blocks.3")):
            channels = module.to_k.out_features
            tokens = 32 * 32 if name.startswith("up_blocks.2") else 64 * 64
            own += 2 * 2 * tokens * channels**2
    return own, prompt


def test_a_step_takes_the_flop_of_its_evaluations_less_what_need_not_be_computed(
    make_pipe: MakePipe,
) -> None:
    pipe = make_pipe(features="device")
    with FlopCounterMode(display=False) as counter:
        evaluate(pipe.unet, torch.zeros(1, 4, *SQUARE, device=CUDA))
    evaluation = counter.get_total_flops()
    own, prompt = projection_flops(pipe)
    with FlopCounterMode(display=False) as counter:
        grid(pipe, contents=1, styles=2, steps=3)
    inversion, sampling = evaluation - prompt, evaluation - prompt - own
    print(f"TFLOP: evaluation {evaluation / 1e12:.4f}", end="")
    print(f", inverting {inversion / 1e12:.4f}, sampling {sampling / 1e12:.4f}")
    # The prompt's keys and values are computed once in a call.
    assert counter.get_total_flops() == 3 * 3 * inversion + 2 * 2 * sampling + prompt


@pytest.mark.parametrize("features", ["device", "host"])
@pytest.mark.parametrize("feature_dtype", ["float16", "int8"])
def test_features_take_and_move_the_bytes_that_the_footprint_says(
    make_pipe: MakePipe, watch: Watch, features: str, feature_dtype: str
) -> None:
    steps, contents, styles = 3, 1, 2
    pipe = make_pipe(features=features, feature_dtype=feature_dtype)
    params = StyleParams(steps=steps).resolved()
    picture = picture_memory(pipe.model, SQUARE, params, feature_dtype)
    kept = contents * picture.content + styles * picture.style
    with watch:
        grid(pipe, contents, styles, steps)
    assert pipe.counts.peak_feature_bytes == kept + (contents + styles) * LATENT_BYTES
    small = 100  # γ, τ and indices
    if features == "host":
        # One batch: at each of two sampling steps each picture's features once, the content's too.
        assert watch.moved["to cpu"] == kept
        assert 0 <= watch.moved["to cuda"] - kept * (steps - 1) // steps <= small
    else:
        assert watch.moved["to cpu"] == 0
        assert watch.moved["to cuda"] <= small
    print(
        f"{feature_dtype} features of a step: content {picture.content / steps / 2**20:.1f} MiB",
        end="",
    )
    print(f", style {picture.style / steps / 2**20:.1f} MiB")


@pytest.mark.parametrize("features", ["device", "host"])
def test_the_host_never_waits_for_the_device_between_two_steps(
    make_pipe: MakePipe, watch: Watch, features: str
) -> None:
    pipe = make_pipe(features=features, batch_size=2)
    waits: list[list[str]] = []
    with watch:
        for steps in (3, 5):
            watch.waits.clear()
            grid(pipe, contents=1, styles=2, steps=steps)
            waits.append(watch.waits.copy())
    print(waits[0])
    assert waits[0] == waits[1]


def test_a_wait_in_each_step_would_be_seen(
    make_pipe: MakePipe, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = make_pipe(features="device")
    forward = pipe.unet.forward

    def waiting(z: Any, *args: Any, **kwargs: Any) -> Any:
        z.cpu()
        return forward(z, *args, **kwargs)

    monkeypatch.setattr(pipe.unet, "forward", waiting)
    with watch:
        grid(pipe, contents=1, styles=1, steps=2)
    assert watch.waits.count("_to_copy to cpu") == 2 + 1
