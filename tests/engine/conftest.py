from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor

from styleid_ray import StyleIDPipeline
from styleid_ray.engine import cuda


@pytest.fixture(scope="session")
def inputs(parity: Path) -> dict[str, Any]:
    return load_file(parity / "inputs.safetensors")


@pytest.fixture(scope="session")
def unet(parity: Path) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(
        parity, subfolder="unet", low_cpu_mem_usage=False
    ).float()


@pytest.fixture
def make_pipe(parity: Path, inputs: dict[str, Any], unet: UNet2DConditionModel) -> Any:
    """A pipeline on the reference UNet, latents to latents; keyword arguments as of the class."""

    def make(prediction_type: str = "epsilon", **kwargs: Any) -> StyleIDPipeline:
        scheduler = DDIMScheduler.from_pretrained(
            parity, subfolder="scheduler", prediction_type=prediction_type
        )
        return StyleIDPipeline(
            unet=unet, scheduler=scheduler, null_embedding=inputs["null_embedding"], **kwargs
        )

    return make


class LateCopies:
    """A copying stream that copies as late as it may: when something waits for it. What does not
    wait, or lets go of a buffer too early, reads other numbers than it should."""

    streams = 0

    def __init__(self, device: torch.device) -> None:
        LateCopies.streams += 1
        self.queue: list[tuple[Tensor, Tensor]] = []
        self.done = 0

    def copy(self, copies: Iterable[tuple[Tensor, Tensor]]) -> int:
        self.queue += copies
        return len(self.queue)

    def wait(self, event: int) -> None:
        for destination, source in self.queue[self.done : event]:
            destination.copy_(source)
        self.done = max(self.done, event)

    def synchronize(self) -> None:
        self.wait(len(self.queue))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The CPU as if it were a GPU with `free` bytes; `shares` are those it was limited to."""
    state = SimpleNamespace(free=64 * 2**30, shares=[], copies=LateCopies)
    LateCopies.streams = 0
    monkeypatch.setattr(cuda, "is_cuda", lambda device: True)
    monkeypatch.setattr(cuda, "free_memory", lambda device, share: int(share * state.free))
    monkeypatch.setattr(cuda, "limit_memory", lambda device, share: state.shares.append(share))
    monkeypatch.setattr(cuda, "empty_cache", lambda device: None)
    monkeypatch.setattr(cuda, "pinned", lambda *shape: torch.full(shape, 255, dtype=torch.uint8))
    monkeypatch.setattr(cuda, "CopyStream", LateCopies)
    monkeypatch.setattr(cuda, "measure", lambda device, work: (work(), (1.0, 0))[1])
    return state
