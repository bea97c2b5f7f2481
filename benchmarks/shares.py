"""Where the time of a call on the device goes, by torch.profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.device import time_call

_KINDS = {
    "attention": ("attention",),
    "convolutions": ("conv",),
    "products": ("mm", "matmul", "linear"),
    "normalisation": ("norm",),
    "activations": ("silu", "gelu", "sigmoid"),
    "copies": ("copy_", "cat", "clone", "index", "stack"),
}
"""Kind of operation → what its name has in it; the first that fits counts."""
_LAYOUT = ("nchwtonhwc", "nhwctonchw")
"""Kernels of cuDNN that change a tensor's memory layout for a convolution."""


def profile_shares(
    device: torch.device, call: Callable[[], Any], parts: dict[str, list[nn.Module]]
) -> dict[str, float]:
    """Shares of the time that kernels run: by part of the model, then by kind of operation.

    `layout changes` are among the convolutions. `busy` is that time over the call's own, which the
    profiler makes longer.
    """
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with ExitStack() as stack:
        for name, modules in parts.items():
            for module in modules:
                stack.enter_context(_named(module, name))
        profiler = stack.enter_context(profile(activities=activities))
        seconds = time_call(device, call).total
    side = "device" if device.type == "cuda" else "cpu"
    averages = profiler.key_averages()
    # What ran on a GPU is also listed under the operation that started it: that one is counted.
    operations = [e for e in averages if e.device_type.name == "CPU"]
    kernels = [e for e in averages if e.device_type.name != "CPU"]
    total = sum(getattr(e, f"self_{side}_time_total") for e in operations)
    shares = {
        name: sum(getattr(e, f"{side}_time_total") for e in operations if e.key == name) / total
        for name in parts
    }
    kinds = dict.fromkeys([*_KINDS, "other"], 0.0)
    for event in operations:
        kinds[_kind(event.key)] += getattr(event, f"self_{side}_time_total") / total
    layout = sum(
        e.self_device_time_total for e in kernels if any(x in e.key.lower() for x in _LAYOUT)
    )
    return {**shares, **kinds, "layout changes": layout / total, "busy": total / 1e6 / seconds}


def _kind(operation: str) -> str:
    return next(
        (kind for kind, names in _KINDS.items() if any(name in operation for name in names)),
        "other",
    )


@contextmanager
def _named(part: nn.Module, name: str) -> Iterator[None]:
    """Inside the block the profiler shows the module's forward under a name."""
    ranges: list[Any] = []

    def begin(*_: Any) -> None:
        ranges.append(record_function(name))
        ranges[-1].__enter__()

    def end(*_: Any) -> None:
        ranges.pop().__exit__(None, None, None)

    hooks = part.register_forward_pre_hook(begin), part.register_forward_hook(end)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
