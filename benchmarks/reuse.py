"""The engine against the plain procedure, on the same weights: what reuse and batching bring."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.naive import NaiveStyleID
from benchmarks.options import NaiveOptions
from benchmarks.table import Table
from styleid_ray.config import StyleParams
from styleid_ray.engine.pipeline import StyleIDPipeline
from styleid_ray.model.loading import load_components


@dataclass(frozen=True)
class _Measured:
    """Seconds of one plain pair, of one evaluation in a full batch, and of the engine's grids."""

    naive_pair: float
    batched_evaluation: float
    engine: dict[tuple[int, int], tuple[float, int]]
    """Seconds and UNet evaluations by grid."""
    difference: float


def measure_reuse(options: NaiveOptions) -> Table:
    """Seconds, UNet evaluations and ratio of each grid, and how near the engine is to its floor."""
    grids = [(int(c), int(s)) for c, _, s in (grid.partition("x") for grid in options.grids)]
    params = StyleParams(steps=options.steps).resolved()
    n, m = params.inversion_evaluations, params.sampling_evaluations
    found = _measure(options, [grid for grid in grids if grid[0] * grid[1] <= options.longest])
    largest = max(found.engine, key=lambda grid: grid[0] * grid[1])
    pace = found.engine[largest][0] / found.engine[largest][1]
    rows: list[dict[str, Any]] = []
    for contents, styles in grids:
        pairs, fewest = contents * styles, (contents + styles) * n + contents * styles * m
        seconds, spent = found.engine.get((contents, styles), (fewest * pace, fewest))
        rows.append(
            {
                "grid": f"{contents} x {styles}",
                "evaluations, plain": pairs * (2 * n + m),
                "evaluations, engine": spent,
                "fewer": pairs * (2 * n + m) / spent,
                "s/pair, plain": found.naive_pair,
                "s/pair, engine": seconds / pairs,
                "faster": found.naive_pair * pairs / seconds,
                "floor / engine": spent * found.batched_evaluation / seconds,
                "engine": "measured" if (contents, styles) in found.engine else "extrapolated",
            }
        )
    return Table(
        "The engine against the plain procedure",
        rows,
        [
            f"model {options.model}, {options.size} px, {options.steps} steps, "
            f"batches of {options.batch}, latents to latents; s: "
            + (
                "seconds"
                if torch.cuda.is_available()
                else "CPU seconds of the process, all threads"
            ),
            f"plain: each pair from scratch, mean of {options.naive_pairs} pairs, taken times the "
            "grid's pairs; its attention is the same fused function as the engine's",
            f"floor: evaluations x {found.batched_evaluation:.4g} s, the time of a latent in one "
            f"UNet call of {options.batch} latents with nothing kept or injected",
            f"extrapolated: evaluations x {pace:.4g} s, the engine's time of one in the grid "
            f"{largest[0]} x {largest[1]}",
            f"difference of the two results: {found.difference:.1e} relative",
        ],
    )


def _measure(options: NaiveOptions, grids: list[tuple[int, int]]) -> _Measured:
    parts = load_components(options.model)
    pipe = StyleIDPipeline(**parts, batch_size=options.batch)
    params = StyleParams(steps=options.steps)
    resolved = params.resolved(pipe.model.default_layers)
    naive = NaiveStyleID.of(
        parts,
        steps=resolved.steps,
        gamma=float(resolved.gamma),
        temperature=float(resolved.temperature),
        layers=resolved.layers,
    )
    side = options.size * 2 ** (len(pipe.unet.config.block_out_channels) - 1) // pipe.factor

    def draw(count: int) -> Tensor:
        # New ones for each measurement: the engine may remember what it inverted.
        return torch.randn(count, pipe.unet.config.in_channels, side, side, device=pipe.device)

    torch.manual_seed(0)
    evaluate(naive, draw(1))  # the first call of a process pays for what later ones reuse
    contents, styles = draw(options.naive_pairs), draw(options.naive_pairs)
    seconds, plain = timed(
        lambda: torch.cat(
            [naive.transfer(c[None], s[None]) for c, s in zip(contents, styles, strict=True)]
        )
    )
    ours = pipe.transfer_latents(contents, styles, "zip", params)
    engine: dict[tuple[int, int], tuple[float, int]] = {}
    for c, s in grids:
        spent = pipe.unet_evaluations
        grid_seconds, _ = timed(
            lambda c=c, s=s: pipe.transfer_latents(draw(c), draw(s), "cross", params)
        )
        engine[c, s] = grid_seconds, pipe.unet_evaluations - spent
    floor = statistics.median(evaluate(naive, draw(options.batch)) for _ in range(5))
    difference = float((ours - plain).norm() / plain.norm())
    return _Measured(seconds / options.naive_pairs, floor / options.batch, engine, difference)


@torch.no_grad()
def evaluate(model: NaiveStyleID, z: Tensor) -> float:
    """Seconds of one plain UNet call on latents [B, C, h, w]."""
    given = model.conditions(z)
    return timed(lambda: model.unet(z.to(model.unet.dtype), 1, **given, return_dict=False))[0]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returns.

    On a CPU those that the process computes, so that it does not matter what else the machine does;
    with a GPU those that pass until its work is done.
    """
    if not torch.cuda.is_available():
        began = time.process_time()
        result = call()
        return time.process_time() - began, result
    began = time.perf_counter()
    result = call()
    torch.cuda.synchronize()
    return time.perf_counter() - began, result
