"""A GPU that is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from styleid_ray import StyleParams
from styleid_ray.errors import JobError
from tests.gpu.conftest import MakePipe, relative_error
from tests.gpu.test_engine import draw

pytestmark = pytest.mark.gpu

PARAMS = StyleParams(steps=3)
MIB = 2**20


@contextmanager
def only_free(size: int) -> Iterator[None]:
    """Inside the block little more than `size` bytes of the device's memory can be had."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    blocker = torch.empty(free - size, dtype=torch.uint8, device="cuda")
    try:
        yield
    finally:
        del blocker
        torch.cuda.empty_cache()


def peak(call: Callable[[], Any]) -> tuple[Any, int]:
    """What a call returns, and the bytes that it took at most beside what was there before."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    return result, torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("features", ["device", "host"])
def test_a_grid_that_does_not_fit_is_made_in_smaller_parts_with_the_same_result(
    make_pipe: MakePipe, features: str, part: float
) -> None:
    contents, styles = draw(4, 4, 64, 64, seed=1), draw(8, 4, 64, 64, seed=2)
    pipe = make_pipe(features=features, batch_size=32)
    want, took = peak(lambda: pipe.transfer_latents(contents, styles, params=PARAMS))
    assert took > 200 * MIB, "too small a grid: the allocator's own pieces would hide the limit"
    pipe = make_pipe(features=features, batch_size=32)
    with only_free(int(part * took)):
        made = pipe.transfer_latents(contents, styles, params=PARAMS)
    assert relative_error(made, want) <= 1e-4
    assert pipe.notes


def test_pictures_that_do_not_fit_the_autoencoder_at_once_are_made_in_smaller_parts(
    make_pipe: MakePipe,
) -> None:
    pictures = [torch.full((512, 512, 3), 8 * i, dtype=torch.uint8) for i in range(16)]
    pipe = make_pipe(batch_size=64)
    want, took = peak(lambda: pipe.encode(pictures))
    pipe = make_pipe(batch_size=64)
    with only_free(took // 2):
        made = pipe.encode(pictures)
        assert len(pipe.decode(made)) == len(pictures)
    assert max(map(relative_error, made, want)) <= 1e-4


def test_kept_features_give_way_to_the_autoencoder(make_pipe: MakePipe) -> None:
    pipe = make_pipe(features="device", batch_size=4)
    contents, styles = draw(2, 4, 64, 64, seed=1), draw(8, 4, 64, 64, seed=2)
    pictures = [torch.full((512, 512, 3), 40 * i, dtype=torch.uint8) for i in range(4)]
    want, took = peak(lambda: pipe.encode(pictures))
    keys = ["a", "b"], [str(i) for i in range(8)]
    pipe.transfer_latents(contents, styles, params=StyleParams(steps=20), keys=keys)
    with only_free(took // 4):
        made = pipe.encode(pictures)
    assert max(map(relative_error, made, want)) <= 1e-4


def test_a_single_picture_that_does_not_fit_is_an_error_that_says_what_to_do(
    make_pipe: MakePipe,
) -> None:
    pipe = make_pipe(features="host")
    z = draw(1, 4, 256, 256, seed=1)
    with only_free(32 * MIB), pytest.raises(JobError, match="smaller --size"):
        pipe.transfer_latents(z, z, params=PARAMS)
