"""How much of a GPU the engine uses, on a model of Stable Diffusion 1.x's size.

Whatever device is asked for is measured, so that the same code runs at a tiny size on a CPU. The
measurements come in the order of their weight; one that would take longer than what is left of the
time is skipped, and its row says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.bench import Bench, grid_evaluations
from benchmarks.device import forget_peak, peak_gib, time_call
from benchmarks.naive import NaiveStyleID
from benchmarks.options import GpuOptions
from benchmarks.plain_calls import LAYOUTS, autoencoder_table, device_table, unet_table
from benchmarks.sd1 import draw_pictures
from benchmarks.shares import profile_shares
from benchmarks.table import Table
from styleid_ray.config import StyleParams
from styleid_ray.engine.pipeline import StyleIDPipeline
from styleid_ray.errors import StyleIDError

_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


def measure_gpu(options: GpuOptions) -> Iterator[tuple[str, Table]]:
    """Name and table of each part: the device itself, one UNet call, the whole procedures, where
    the time goes, the autoencoder, and ways to run the engine."""
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        yield "skipped", Table("The engine on one GPU", [], ["skipped: PyTorch sees no GPU here"])
        return
    bench = Bench(options)
    yield "device", device_table(bench)
    yield "unet", unet_table(bench)
    yield "procedures", procedures_table(bench)
    yield "shares", shares_table(bench)
    yield "autoencoder", autoencoder_table(bench)
    yield "variants", variants_table(bench)


def procedures_table(bench: Bench) -> Table:
    """The plain procedure and the engine, pictures to pictures, on one grid."""
    options = bench.options
    rows = [_plain(bench), _engine(bench, compiled=False)]
    if options.compiled:
        rows.append(_engine(bench, compiled=True))
    plain = rows[0]["pairs/s"]
    for row in rows:
        row["times plain"] = row["pairs/s"] / plain if plain and row["pairs/s"] else None
    return Table(
        "The plain procedure and the engine",
        rows,
        [
            f"{options.contents} x {options.styles} pictures of {options.size} px, "
            f"{options.steps} steps, {bench.dtype}, pictures to pictures; the plain procedure "
            f"makes {options.plain_pairs} such pairs, each from scratch in batches of one",
            "first call s: the same grid with 2 steps, before the one that is timed: compiling, "
            "choosing kernels, taking memory",
            "TFLOP/s: evaluations x the FLOP of a plain one, over all seconds, the autoencoder's "
            "too; the engine skips a few of those FLOP, which still count here",
            "floor / engine: evaluations x a latent's time in the fastest plain UNet call, eager "
            "and contiguous, over the engine's seconds",
        ],
    )


def _plain(bench: Bench) -> dict[str, Any]:
    options, params = bench.options, StyleParams(steps=bench.options.steps).resolved()
    spent = options.plain_pairs * grid_evaluations(options.steps, 1, 1)
    note = bench.refusal(1.5 * spent * bench.pace(1))
    if note:
        return _procedure(bench, "plain", note)
    pipe = StyleIDPipeline(**bench.parts)
    naive = NaiveStyleID(
        pipe.unet,
        pipe.scheduler.alphas_cumprod,
        bench.parts["null_embedding"].to(bench.device, pipe.unet.dtype),
        params.steps,
        float(params.gamma),
        float(params.temperature),
        params.layers,
    )

    def pair() -> None:
        content, style = (pipe.encode(draw_pictures(1, options.size))[0][None] for _ in range(2))
        pipe.decode(naive.transfer(content, style))

    forget_peak(bench.device)
    seconds = sum(time_call(bench.device, pair).total for _ in range(options.plain_pairs))
    return _procedure(bench, "plain", "", options.plain_pairs, spent, seconds)


def _engine(bench: Bench, compiled: bool) -> dict[str, Any]:
    options = bench.options
    name = "engine, compiled" if compiled else "engine, eager"
    work = bench.reckon(grid_evaluations(options.steps, options.contents, options.styles))
    note = bench.refusal(work + (bench.compile_seconds if compiled else 0))
    if note:
        return _procedure(bench, name, note)
    parts = bench.build(bench.dtype) if compiled else bench.parts
    # Compiled code is made anew for each batch: it gets the one that is the fastest without.
    pipe = StyleIDPipeline(
        **parts, compile=compiled, batch_size=bench.batch if compiled else "auto"
    )

    def grid(steps: int) -> None:
        # New pictures at every call: the engine may remember what it inverted.
        contents = draw_pictures(options.contents, options.size)
        styles = draw_pictures(options.styles, options.size)
        pipe(contents, styles, params=StyleParams(steps=steps))

    forget_peak(bench.device)
    first = time_call(bench.device, lambda: grid(2)).total
    if compiled:
        bench.compile_seconds = first
        note = bench.refusal(work)
        if note:
            return _procedure(bench, name, note, first=first)
    before = pipe.unet_evaluations
    seconds = time_call(bench.device, lambda: grid(options.steps)).total
    pairs = options.contents * options.styles
    return _procedure(bench, name, "", pairs, pipe.unet_evaluations - before, seconds, first)


def _procedure(
    bench: Bench,
    name: str,
    note: str,
    pairs: int | None = None,
    spent: int = 0,
    seconds: float = 0.0,
    first: float | None = None,
) -> dict[str, Any]:
    """A row; without pairs one of what was skipped."""
    done = pairs is not None
    flops = spent * bench.flop / seconds if done else 0.0
    return {
        "procedure": name,
        "pairs": pairs,
        "evaluations": spent if done else None,
        "s": seconds if done else None,
        "first call s": first,
        "pairs/s": pairs / seconds if pairs else None,
        "times plain": None,
        "TFLOP/s": flops / 1e12 if done else None,
        "of peak": flops / bench.peak if done else None,
        "floor / engine": spent * bench.pace(bench.batch) / seconds if done else None,
        "GiB": peak_gib(bench.device) if done else None,
        "note": note or None,
    }


def shares_table(bench: Bench) -> Table:
    """Where the time of an eager call goes."""
    options = bench.options
    title = "Where the engine's time goes, eager"
    contents, styles = min(4, options.contents), min(4, options.styles)
    # The profiler makes the call longer, and reading what it noted takes longer still.
    note = bench.refusal(
        20 + 3 * bench.reckon(grid_evaluations(options.few_steps, contents, styles))
    )
    if note:
        return Table(title, [], [note])
    pipe = StyleIDPipeline(**bench.parts)
    shares = profile_shares(
        bench.device,
        lambda: pipe(
            draw_pictures(contents, options.size),
            draw_pictures(styles, options.size),
            params=StyleParams(steps=options.few_steps),
        ),
        {"UNet": [pipe.unet], "VAE": [pipe.vae.encoder, pipe.vae.decoder]},
    )
    return Table(
        title,
        [{"what": name, "share": share} for name, share in shares.items()],
        [
            f"{contents} x {styles} pictures, {options.few_steps} steps, pictures to pictures; "
            "shares of the time that kernels run, by torch.profiler",
            "UNet and VAE are parts of the model; the kinds of operation below sum to 1 over both "
            "and what is around them; layout changes are among the convolutions",
            "busy: the time that kernels run over the profiled call's, which is longer than others",
        ],
    )


@dataclass(frozen=True)
class Variant:
    """One way to run the engine."""

    compiled: bool
    dtype: str
    batch: int
    layout: str = "contiguous"
    store: str = "device"
    attention: str = "default"


def variants(options: GpuOptions, batch: int) -> list[Variant]:
    """Ways to run the engine, one change at a time from the fastest batch in the first precision,
    those first that a compiled engine is not needed for."""
    eager = Variant(False, options.dtypes[0], batch)
    compiled = replace(eager, compiled=True, layout="channels-last")
    ways = []
    for base in (eager, compiled) if options.compiled else (eager,):
        (other_layout,) = LAYOUTS.keys() - {base.layout}
        changes: list[dict[str, Any]] = [
            {},
            {"layout": other_layout},
            {"store": "host"},
            *({"batch": other} for other in options.variant_batches if other != batch),
            *({"attention": name} for name in options.attention),
            *({"dtype": dtype} for dtype in options.dtypes[1:]),
        ]
        ways += [replace(base, **change) for change in changes]
    return ways


def variants_table(bench: Bench) -> Table:
    """The engine's pace in each variant, latents to latents."""
    options = bench.options
    rows = [_variant(bench, variant) for variant in variants(options, bench.batch)]
    return Table(
        "Ways to run the engine",
        rows,
        [
            f"{options.contents} x {options.styles} latents of {options.size} px, "
            f"{options.few_steps} steps, after a first call; each line is one change from the "
            "first of its kind",
            "TFLOP/s: as of the procedures",
        ],
    )


def _variant(bench: Bench, variant: Variant) -> dict[str, Any]:
    options = bench.options
    spent = grid_evaluations(options.few_steps, options.contents, options.styles)
    seconds = peak = None
    note = bench.refusal(
        1.5 * bench.reckon(spent, variant.batch)
        + (bench.compile_seconds if variant.compiled else 0)
    )
    if not note:
        try:
            seconds, spent, peak = _time_variant(bench, variant)
        except (RuntimeError, StyleIDError) as e:  # no kernel for it, or no memory
            note = f"failed: {str(e).splitlines()[0][:80]}"
    flops = spent * bench.flop / seconds if seconds else None
    return {
        "run": "compiled" if variant.compiled else "eager",
        **{name: value for name, value in asdict(variant).items() if name != "compiled"},
        "ms/evaluation": 1e3 * seconds / spent if seconds else None,
        "TFLOP/s": flops / 1e12 if flops else None,
        "of peak": flops / bench.peaks[variant.dtype] if flops else None,
        "GiB": peak,
        "note": note or None,
    }


def _time_variant(bench: Bench, variant: Variant) -> tuple[float, int, float | None]:
    """Seconds and UNet evaluations of a call, and the most device memory in GiB."""
    options = bench.options
    own = variant.compiled or variant.dtype != bench.dtype or variant.layout != "contiguous"
    parts = bench.build(variant.dtype) if own else bench.parts
    pipe = StyleIDPipeline(
        **parts,
        batch_size=variant.batch,
        features=variant.store,  # pyright: ignore[reportArgumentType]
        compile=variant.compiled,
    )
    # After the engine, which has a layout of its own for what it compiles at the first call.
    pipe.unet.to(memory_format=LAYOUTS[variant.layout])

    def grid(steps: int) -> None:
        contents, styles = bench.draw(options.contents), bench.draw(options.styles)
        pipe.transfer_latents(contents, styles, params=StyleParams(steps=steps))

    backend = _BACKENDS.get(variant.attention)
    with sdpa_kernel([backend]) if backend else nullcontext():
        forget_peak(bench.device)
        grid(2)
        before = pipe.unet_evaluations
        seconds = time_call(bench.device, lambda: grid(options.few_steps)).total
    return seconds, pipe.unet_evaluations - before, peak_gib(bench.device)
