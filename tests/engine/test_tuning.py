"""The fastest batch, and compiled models: the same pictures, from few graphs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.engine import tuning
from styleid_ray.engine.tuning import best_batch, compile_models, compiling_pays

QUICK = StyleParams(steps=3)


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def small_unet() -> UNet2DConditionModel:
    """Decoder self-attention in layers 2 and 3: tracing takes its time by the number of layers."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type=None,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    return unet.eval().requires_grad_(False)


def test_a_compiled_unet_gives_the_same_pictures_whatever_the_batches_are(latents: Tensor) -> None:
    def pipe(unet: Any) -> StyleIDPipeline:
        null = torch.ones(1, 7, 8)
        scheduler = DDIMScheduler()
        return StyleIDPipeline(
            unet=unet, scheduler=scheduler, null_embedding=null, batch_size=4, compile=False
        )

    params = StyleParams(steps=3, layers=(2, 3))
    want = pipe(small_unet()).transfer_latents(latents[:3], latents[3:5], params=params)
    # Captured as for the compiler, but run as it is: no C++ compiler is needed.
    graphs, unet = CompileCounter(), small_unet()
    compile_models(unet, backend=graphs)
    compiled = pipe(unet)
    compiled.memory.batches.full = True
    got = compiled.transfer_latents(latents[:3], latents[3:5], params=params)
    assert error(got, want) <= 1e-5
    assert graphs.frame_count == 2, "one graph that records and one that injects"
    assert compiled.unet_evaluations == 5 * 3 + 6 * 2, "rows that fill a batch up do not count"
    more = params.model_copy(update={"steps": 4, "gamma": 0.3})
    compiled.transfer_latents(latents[2:], latents[:1], params=more)
    assert graphs.frame_count == 2, "other pictures, steps and gammas need no new graph"


@pytest.mark.parametrize(("evaluations", "compiled"), [(0, False), (100, False), (1_000_000, True)])
def test_auto_compiles_on_a_gpu_where_the_job_is_long_enough(
    gpu: SimpleNamespace,
    make_pipe: Any,
    latents: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    evaluations: int,
    compiled: bool,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(tuning, "compile_models", lambda *models: asked.append(models))
    monkeypatch.setattr(tuning, "has_compiler", lambda: True)
    monkeypatch.setattr(tuning, "_LONG", 10**9)
    pipe = make_pipe(evaluations=evaluations)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    pipe.transfer_latents(latents[1:2], latents[3:4], params=QUICK)
    assert bool(asked) is compiled
    assert any("compile" in note for note in pipe.notes) is compiled
    assert len(asked) <= 1


def test_auto_leaves_a_cpu_alone_and_on_does_not(
    make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(tuning, "compile_models", lambda *models: asked.append(models))
    make_pipe(evaluations=10**9).transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert not asked
    pipe = make_pipe(compile=True)
    for _ in range(2):
        pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert len(asked) == 1


def test_the_batch_is_measured_before_the_models_are_compiled_and_never_after(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_after: list[int] = []
    pipe = make_pipe(compile=True, batch_size=2)
    monkeypatch.setattr(
        tuning, "compile_models", lambda *models: compiled_after.append(pipe.unet_evaluations)
    )
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert compiled_after == [2 * 2]
    tall = torch.cat([latents, latents], 2)
    spent = pipe.unet_evaluations
    pipe.transfer_latents(tall[:1], tall[3:4], params=QUICK)
    assert pipe.unet_evaluations - spent == 2 * 3 + 2


def test_a_first_call_with_few_pairs_does_not_settle_the_batch_of_a_long_job(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor
) -> None:
    short = make_pipe(compile=False)
    short.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert short.memory.batches.measured == {(16, 16): 8}
    short.transfer_latents(latents[:3], latents[3:], params=QUICK)
    assert short.memory.batches.measured == {(16, 16): 16}


def test_auto_without_a_compiler_leaves_a_note_and_runs_eager(
    gpu: SimpleNamespace, make_pipe: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "has_compiler", lambda: False)
    monkeypatch.setattr(tuning, "_LONG", 10**9)
    monkeypatch.setattr(tuning, "compile_models", lambda *models: pytest.fail("no compiler"))
    pipe = make_pipe(evaluations=1_000_000)
    pipe.transfer_latents(latents[:1], latents[3:4], params=QUICK)
    assert "no C compiler" in pipe.notes[1]


def test_compiling_pays_when_it_saves_more_than_it_costs() -> None:
    assert compiling_pays(1_000_000, 2e-3)
    assert not compiling_pays(100_000, 2e-3)


@pytest.mark.parametrize(
    ("paces", "most", "batch"),
    [
        ({8: 1.0, 16: 0.5, 32: 0.4, 64: 0.2}, 64, 64),
        ({8: 1.0, 16: 0.5, 32: 0.495, 64: 0.1}, 64, 16),  # no gain: larger ones are not tried
        ({8: 1.0, 16: 0.5, 32: 0.4, 64: 0.2}, 10, 16),  # no more latents than that
        ({8: 1.0, 16: 0.5}, 64, 16),  # 32 do not fit
    ],
)
def test_the_batch_with_the_most_latents_per_second_is_taken(
    paces: dict[int, float], most: int, batch: int
) -> None:
    def seconds(size: int) -> float | None:
        return size * paces[size] if size in paces else None

    assert best_batch(seconds, most) == (batch, paces[batch])


def test_a_device_too_small_for_the_smallest_batch_gives_no_measurement() -> None:
    assert best_batch(lambda size: None, 64) is None
