"""The device by itself, and the model without StyleID: what the engine is measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.bench import Bench, paces_of
from benchmarks.device import count_flop, fastest
from benchmarks.sd1 import draw_pictures
from benchmarks.table import Table
from styleid_ray.engine.pipeline import StyleIDPipeline

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
_COPY_BYTES = 256 * 2**20


def device_table(bench: Bench) -> Table:
    """Matrix products and copies."""
    side = bench.options.matrix
    rows: list[dict[str, Any]] = [
        {
            "what": f"product of two {side} x {side} matrices, {dtype}",
            "TFLOP/s": peak / 1e12,
            "GB/s": None,
        }
        for dtype, peak in bench.peaks.items()
    ]
    for name, copy in _copies(bench.device).items():
        gigabytes = _COPY_BYTES / 1e9
        seconds = fastest(bench.device, copy).total
        rows.append({"what": f"copy, {name}", "TFLOP/s": None, "GB/s": gigabytes / seconds})
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    return Table("The device", rows, [f"{name}; the fastest of several calls"])


def _copies(device: torch.device) -> dict[str, Callable[[], Any]]:
    pinned = device.type == "cuda"
    host = torch.empty(_COPY_BYTES, dtype=torch.uint8, pin_memory=pinned)
    there, other = (torch.empty(_COPY_BYTES, dtype=torch.uint8, device=device) for _ in range(2))
    return {
        "pinned host memory to device": lambda: there.copy_(host, non_blocking=True),
        "device to pinned host memory": lambda: host.copy_(there, non_blocking=True),
        "within the device, bytes counted once": lambda: other.copy_(there),
    }


def unet_table(bench: Bench) -> Table:
    """One plain UNet call by memory layout and batch."""
    rows: list[dict[str, Any]] = []
    unet = bench.parts["unet"]
    for layout, memory_format in LAYOUTS.items():
        paces = paces_of(bench, unet.to(memory_format=memory_format))
        if layout == "contiguous":
            bench.paces = paces
        for batch, timing in paces.items():
            rows.append(
                {
                    "layout": layout,
                    "batch": batch,
                    "ms/call": 1e3 * timing.total,
                    "ms/latent": 1e3 * timing.total / batch,
                    "launch ms": 1e3 * timing.launch,
                    "TFLOP/s": bench.flop * batch / timing.total / 1e12,
                    "of peak": bench.flop * batch / timing.total / bench.peak,
                }
            )
    unet.to(memory_format=torch.contiguous_format)
    return Table(
        "One UNet call without StyleID",
        rows,
        [
            f"Stable Diffusion 1.x's architecture, {bench.options.size} px, {bench.dtype}, eager; "
            "the fastest of several calls",
            f"{bench.flop / 1e12:.3g} TFLOP per latent: two for each multiply-add of products, "
            "convolutions and attention",
            "launch ms: CPU time until the call returns; near ms/call, kernels wait to be launched",
            "of peak: FLOP/s over those of the matrix product",
        ],
    )


def autoencoder_table(bench: Bench) -> Table:
    """Encoding and decoding by memory layout and batch, from and to pictures on the host."""
    vae, size = bench.parts["vae"], bench.options.size
    rows: list[dict[str, Any]] = []
    flop: dict[str, int] = {}
    for layout, memory_format in LAYOUTS.items():
        vae.to(memory_format=memory_format)
        for batch in bench.options.autoencoder_batches:
            for name, call in _autoencoder_calls(bench, batch).items():
                flop.setdefault(name, count_flop(_autoencoder_calls(bench, 1)[name]))
                seconds = fastest(bench.device, call, times=3).total
                rows.append(
                    {
                        "call": name,
                        "layout": layout,
                        "batch": batch,
                        "ms/picture": 1e3 * seconds / batch,
                        "TFLOP/s": flop[name] * batch / seconds / 1e12,
                        "of peak": flop[name] * batch / seconds / bench.peak,
                    }
                )
    vae.to(memory_format=torch.contiguous_format)
    return Table(
        "The autoencoder",
        rows,
        [f"{size} px, {bench.dtype}, eager; copies between host and device and PIL included"],
    )


def _autoencoder_calls(bench: Bench, batch: int) -> dict[str, Callable[[], Any]]:
    pipe = StyleIDPipeline(**bench.parts, batch_size=batch)
    pictures, z = draw_pictures(batch, bench.options.size), bench.draw(batch)
    return {"encode": lambda: pipe.encode(pictures), "decode": lambda: pipe.decode(z)}
