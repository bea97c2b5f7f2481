"""How much of a GPU the engine uses, on a model of Stable Diffusion 1.x's size.

The weights are random: speed does not depend on them. Whatever device is asked for is measured, so
that the same code can be tried at a tiny size on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.utils import logging
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.options import GpuOptions
from benchmarks.table import Table
from styleid_ray.config import StyleParams
from styleid_ray.engine.pipeline import StyleIDPipeline


def measure_gpu(options: GpuOptions) -> Table:
    """Pairs a second, FLOP/s against the measured peak, and where the time goes, by precision."""
    title = "The engine on one GPU, a random model of Stable Diffusion 1.x's size"
    if options.device == "cuda" and not torch.cuda.is_available():
        return Table(title, [], ["skipped: PyTorch sees no GPU here"])
    rows = [_row(getattr(torch, dtype), options) for dtype in options.dtypes]
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    return Table(
        title,
        rows,
        [
            f"{name}; {options.contents} x {options.styles} pictures of {options.size} px, "
            f"{options.steps} steps, pictures to pictures; a first, shorter call is not timed",
            "FLOP: two for each multiply-add of products, convolutions and attention, counted in "
            "one evaluation, one encoding and one decoding, times how many there were",
            f"peak: the fastest product of two {options.matrix} x {options.matrix} matrices of the "
            "same precision, measured in the same process",
            "floor / engine: evaluations x the time of a latent in one plain UNet call of the same "
            "batch, over the engine's time",
            "shares: of the time that kernels run, by torch.profiler, in a shorter call; attention "
            "and copies are parts of the UNet's and the autoencoder's",
        ],
    )


def _row(dtype: torch.dtype, options: GpuOptions) -> dict[str, Any]:
    device = torch.device(options.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    parts = build_parts(device, dtype, options.width)
    peak = _peak(device, dtype, options.matrix)
    pace = _paces(StyleIDPipeline(**parts), options)
    batch = min(pace, key=lambda size: pace[size])
    pipe = StyleIDPipeline(**parts, batch_size=batch)
    contents, styles = _pictures(options.contents, options), _pictures(options.styles, options)
    few = StyleParams(steps=2)
    pipe(contents, styles, params=few)
    spent = pipe.unet_evaluations
    seconds, results = _timed(
        device,
        # Other pictures than the first call's: the engine may remember what it inverted.
        lambda: pipe(
            _pictures(options.contents, options),
            _pictures(options.styles, options),
            params=StyleParams(steps=options.steps),
        ),
    )
    spent = pipe.unet_evaluations - spent
    work = spent * count_flop(lambda: _evaluate(pipe, _latents(pipe, 1, options)))
    encoding = count_flop(lambda: pipe.encode(contents[:1]))
    decoding = count_flop(lambda: pipe.decode(_latents(pipe, 1, options)))
    work += (len(contents) + len(styles)) * encoding + len(results) * decoding
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "batch": batch,
        "pairs": len(results),
        "s": seconds,
        "pairs/s": len(results) / seconds,
        "evaluations/s": spent / seconds,
        "TFLOP/s": work / seconds / 1e12,
        "peak TFLOP/s": peak / 1e12,
        "of peak": work / seconds / peak,
        "floor / engine": spent * pace[batch] / seconds,
        **_shares(pipe, options),
        "peak GiB": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
    }


def build_parts(device: torch.device, dtype: torch.dtype, width: int) -> dict[str, Any]:
    """unet, scheduler, null_embedding and vae of Stable Diffusion 1.x's architecture, with random
    weights.

    `width` is the number of channels of the UNet's first block, 320 in Stable Diffusion 1.x.
    """
    torch.manual_seed(0)
    logging.set_verbosity_error()
    unet: Any = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        cross_attention_dim=768,
        attention_head_dim=8,  # diffusers' name for the number of heads
        norm_num_groups=min(32, width // 4),
    )
    narrow = 2 * width // 5
    autoencoder: Any = AutoencoderKL  # its annotations say one block where it takes several
    vae = autoencoder(
        block_out_channels=(narrow, 2 * narrow, 4 * narrow, 4 * narrow),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=min(32, narrow),
        scaling_factor=0.18215,
    )
    for part in (unet, vae):
        part.requires_grad_(False).eval().to(device, dtype)
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False
    )
    null = torch.randn(1, 77, 768)
    return {"unet": unet, "scheduler": scheduler, "null_embedding": null, "vae": vae}


@torch.no_grad()
def count_flop(call: Callable[[], Any]) -> int:
    """FLOP of a call."""
    # The counter knows products of matrices and convolutions on every device, fused attention not.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def _peak(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """FLOP/s of the fastest product of two square matrices."""
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    return 2 * side**3 / min(_timed(device, lambda: a @ b)[0] for _ in range(20))


def _paces(pipe: StyleIDPipeline, options: GpuOptions) -> dict[int, float]:
    """Seconds a latent of one plain UNet call, by batch, up to what the memory holds."""
    paces: dict[int, float] = {}
    for batch in options.batches:
        z = _latents(pipe, batch, options)
        try:
            times = [_timed(pipe.device, lambda z=z: _evaluate(pipe, z))[0] for _ in range(4)]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        paces[batch] = min(times) / batch
    return paces


@torch.no_grad()
def _evaluate(pipe: StyleIDPipeline, z: Tensor) -> Tensor:
    prompt = torch.zeros(len(z), 77, 768, device=pipe.device, dtype=pipe.unet.dtype)
    return pipe.unet(z.to(pipe.unet.dtype), 1, prompt, return_dict=False)[0]


def _shares(pipe: StyleIDPipeline, options: GpuOptions) -> dict[str, float]:
    """Parts of the time that kernels run, of a call with few steps and pictures."""
    device = torch.device(options.device)
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    n = min(4, options.contents, options.styles)
    contents, styles = _pictures(n, options), _pictures(n, options)
    with ExitStack() as stack:
        for part, name in (
            (pipe.unet, "UNet"),
            (pipe.vae.encoder, "VAE"),
            (pipe.vae.decoder, "VAE"),
        ):
            stack.enter_context(_named(part, name))
        profiler = stack.enter_context(profile(activities=activities))
        seconds, _ = _timed(
            device,
            lambda: pipe(contents, styles, params=StyleParams(steps=min(10, options.steps))),
        )
    side = "device" if device.type == "cuda" else "cpu"
    # What ran on a GPU is also listed under the operation that started it: that one is counted.
    events = [e for e in profiler.key_averages() if e.device_type.name == "CPU"]
    total = sum(getattr(e, f"self_{side}_time_total") for e in events)

    def share(name: str) -> float:
        return sum(getattr(e, f"{side}_time_total") for e in events if e.key == name) / total

    return {
        "UNet": share("UNet"),
        "VAE": share("VAE"),
        "attention": share("aten::scaled_dot_product_attention"),
        "copies": share("aten::copy_"),
        "device busy, profiled": total / 1e6 / seconds,
    }


@contextmanager
def _named(part: nn.Module, name: str) -> Iterator[None]:
    """What the module does inside the block is shown by the profiler under a name."""
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


def _latents(pipe: StyleIDPipeline, count: int, options: GpuOptions) -> Tensor:
    side = options.size // 8
    return torch.randn(count, pipe.unet.config.in_channels, side, side, device=pipe.device)


def _pictures(count: int, options: GpuOptions) -> list[Image.Image]:
    """New pictures of random pixels at every call."""
    pixels = torch.randint(0, 256, (count, options.size, options.size, 3), dtype=torch.uint8)
    return [Image.fromarray(picture) for picture in pixels.numpy()]


def _timed(device: torch.device, call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, its work on the GPU included, and what it returns."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    result = call()
    wait()
    return time.perf_counter() - began, result
