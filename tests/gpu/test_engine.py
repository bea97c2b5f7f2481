"""Stores, precisions, shapes, compiled code and host synchronisations on a GPU."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from styleid_ray import StyleIDPipeline, StyleParams
from tests.gpu.conftest import MakePipe, relative_error

pytestmark = pytest.mark.gpu

TOLERANCE = 1e-4
PARAMS = StyleParams(steps=6)


def draw(*shape: int, seed: int) -> Tensor:
    """The same latents on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixed(pipe: StyleIDPipeline) -> list[Tensor]:
    """Pairs of pictures of several shapes, each with a strength of its own."""
    contents = [draw(4, 16, 16, seed=1), draw(4, 24, 16, seed=2), draw(4, 16, 16, seed=3)]
    styles = [draw(4, 16, 24, seed=4), draw(4, 16, 16, seed=5)]
    params = [
        PARAMS.model_copy(update={"gamma": gamma, "temperature": temperature})
        for gamma, temperature in ((0.0, 1.0), (0.3, 1.5), (0.75, 2.0), (1.0, 0.5), (0.5, 1.0))
    ]
    pairs = [(0, 0), (1, 1), (2, 1), (0, 1), (2, 0)]
    return pipe.transfer_latents(contents, styles, pairs, params)


@pytest.fixture
def on_cpu(make_pipe: MakePipe) -> list[Tensor]:
    return mixed(make_pipe("cpu"))


@pytest.mark.parametrize("features", ["auto", "device", "host"])
@pytest.mark.parametrize("batch_size", ["auto", 1, 3])
def test_a_gpu_makes_what_a_cpu_makes_of_shapes_and_strengths_in_one_call(
    make_pipe: MakePipe, on_cpu: list[Tensor], features: str, batch_size: Any
) -> None:
    made = mixed(make_pipe(features=features, batch_size=batch_size))
    assert [z.shape for z in made] == [z.shape for z in on_cpu]
    assert max(map(relative_error, made, on_cpu)) <= TOLERANCE


# Like the bounds of the tests on a CPU, and for the same reason: features alone are rounded.
@pytest.mark.parametrize(
    ("feature_dtype", "most"), [("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 1.5e-2)]
)
@pytest.mark.parametrize("features", ["device", "host"])
def test_smaller_features_change_the_result_little(
    make_pipe: MakePipe, on_cpu: list[Tensor], features: str, feature_dtype: str, most: float
) -> None:
    made = mixed(make_pipe(features=features, feature_dtype=feature_dtype))
    assert 0 < max(map(relative_error, made, on_cpu)) <= most


@pytest.mark.parametrize("features", ["device", "host"])
def test_memory_that_holds_two_pictures_changes_no_result(
    make_pipe: MakePipe, features: str
) -> None:
    contents, styles = draw(4, 4, 16, 16, seed=1), draw(4, 4, 16, 16, seed=2)
    free = make_pipe(features=features, batch_size=2)
    want = free.transfer_latents(contents, styles, params=PARAMS)
    room = free.counts.peak_feature_bytes / 4 / 2**30
    tight = make_pipe(features=features, batch_size=2, feature_memory=room)
    assert relative_error(tight.transfer_latents(contents, styles, params=PARAMS), want) <= 1e-4
    assert tight.counts.inversions > free.counts.inversions


def test_compiled_code_makes_the_same_pictures(make_pipe: MakePipe) -> None:
    contents, styles = draw(5, 4, 16, 16, seed=1), draw(1, 4, 16, 16, seed=2)
    want = make_pipe(batch_size=2).transfer_latents(contents, styles, params=PARAMS)
    pipe = make_pipe(batch_size=2, compile=True)
    # Twice: what the first call compiled serves the second.
    for _ in range(2):
        made = pipe.transfer_latents(contents, styles, params=PARAMS)
        assert relative_error(made, want) <= TOLERANCE


def test_pictures_go_through_the_autoencoder_and_back(make_pipe: MakePipe) -> None:
    pictures = [torch.full((128, 192, 3), 40 * i, dtype=torch.uint8) for i in range(5)]
    on_gpu, on_cpu = make_pipe(batch_size=2), make_pipe("cpu", batch_size=2)
    latents, want = on_gpu.encode(pictures), on_cpu.encode(pictures)
    assert max(map(relative_error, latents, want)) <= TOLERANCE
    decoded, expected = (
        [np.array(picture).astype(int) for picture in pipe.decode(z)]
        for pipe, z in ((on_gpu, latents), (on_cpu, want))
    )
    assert max(abs(a - b).max() for a, b in zip(decoded, expected, strict=True)) <= 1


@pytest.mark.parametrize("features", ["device", "host"])
def test_the_host_never_waits_for_the_device_between_two_steps(
    make_pipe: MakePipe, features: str
) -> None:
    pipe = make_pipe(features=features, batch_size=2)
    contents, styles = draw(2, 4, 16, 16, seed=1), draw(2, 4, 16, 16, seed=2)

    def waits(steps: int) -> int:
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                pipe.transfer_latents(contents, styles, params=StyleParams(steps=steps))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing CUDA operation" in str(w.message) for w in caught)

    waits(4)
    assert waits(4) == waits(12)
