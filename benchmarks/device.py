"""Time, arithmetic and memory of calls on a device, which may be the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

GIB = 2**30


@dataclass(frozen=True)
class Timing:
    """Seconds of one call."""

    launch: float
    """Until the call returned: on a GPU its kernels are queued by then, not done."""
    total: float
    """Until its work was done."""


def time_call(device: torch.device, call: Callable[[], Any]) -> Timing:
    """How long a call takes, nothing else being queued on the device."""
    synchronize(device)
    began = time.perf_counter()
    call()
    launched = time.perf_counter()
    synchronize(device)
    return Timing(launched - began, time.perf_counter() - began)


def fastest(device: torch.device, call: Callable[[], Any], times: int = 4) -> Timing:
    """The fastest of several calls. The first pays for what later ones reuse."""
    return min((time_call(device, call) for _ in range(times)), key=lambda timing: timing.total)


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.no_grad()
def count_flop(call: Callable[[], Any]) -> int:
    """FLOP of a call: two for each multiply-add of products, convolutions and attention."""
    # The counter knows products of matrices and convolutions on every device, fused attention not.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def matrix_peak(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """FLOP/s of the fastest product of two square matrices."""
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    return 2 * side**3 / fastest(device, lambda: a @ b, times=20).total


def forget_peak(device: torch.device) -> None:
    """Frees what the allocator keeps, and counts the peak of memory anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float | None:
    """Most device memory in GiB that tensors took since `forget_peak`; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None
