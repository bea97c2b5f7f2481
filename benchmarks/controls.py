"""What each control costs, and what masks and detail do to a picture, on the embedded model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.options import ControlsOptions
from benchmarks.table import Table
from styleid_ray import StyleIDPipeline, StyleParams
from styleid_ray.demo import INPUTS

_SUFFIXES = (".png", ".jpg", ".jpeg")


def measure_controls(options: ControlsOptions) -> Table:
    """One content and two styles with each control, against the call without any."""
    bench = _Bench(options)
    plain = StyleParams(steps=options.steps)
    half = torch.zeros(options.size, options.size, dtype=torch.uint8)
    half[:, options.size // 2 :] = 255
    count = len(bench.contents)
    each, both = bench.one_style(), [(i, (0, 1)) for i in range(count) for _ in range(2)]
    cases: dict[str, dict[str, Any]] = {
        "none": {},
        "gamma cosine:0.75:0.375": {"params": _with(plain, gamma="cosine:0.75:0.375")},
        "adain 0.5": {"params": _with(plain, adain=0.5)},
        "low_frequency 0.6": {"params": _with(plain, low_frequency=0.6)},
        "detail 1": {"params": _with(plain, detail=1.0)},
        "masks, half protected": {"masks": [half] * count},
        "masks and detail 1": {"params": _with(plain, detail=1.0), "masks": [half] * count},
        "two styles by weight": {"pairs": both, "weights": [(0.5, 0.5)] * len(both)},
        "two styles by class": {
            "pairs": both,
            "label_maps": [half] * count,
            "classes": [(255,)] * len(both),
        },
    }
    made: dict[str, list[np.ndarray]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    evaluations: dict[str, int] = {}
    for _ in range(options.repeats):
        for name, case in cases.items():
            arguments = {"params": plain, "pairs": each} | case
            made[name], took, evaluations[name] = bench.run(**arguments)
            seconds[name].append(took)
    rows = [
        {
            "control": name,
            "UNet evaluations": evaluations[name],
            "time": min(seconds[name]) / min(seconds["none"]),
            **bench.compared(made[name], made["none"]),
        }
        for name in cases
    ]
    return Table(
        "Controls",
        rows,
        [
            f"{count} contents x 2 styles of {options.size} px, {options.steps} steps, "
            f"{torch.get_num_threads()} threads; time: the best of {options.repeats} calls as a "
            "ratio to the call without controls, inversions and autoencoder included",
            "left and right: the halves of the picture but for 1/8 at their border; the mask "
            "protects the left one",
            "PSNR in dB: to the content's reconstruction, decode(encode(.)), and to the picture "
            "made without controls; edges: to the content itself, in luminance, where its "
            "gradient is among the strongest tenth, at the same mean and spread",
        ],
    )


def _with(params: StyleParams, **changes: Any) -> StyleParams:
    return StyleParams.model_validate({**params.model_dump(), **changes})


class _Bench:
    def __init__(self, options: ControlsOptions) -> None:
        self.pipe = StyleIDPipeline.from_pretrained(options.model)
        size = options.size, options.size
        self.contents = _pictures(options.content or INPUTS / "content", size)[: options.contents]
        self.styles = _pictures(options.style or INPUTS / "style", size)[:2]
        self.sources = [np.asarray(x).astype(float) for x in self.contents]
        rebuilt = self.pipe.decode(self.pipe.encode(self.contents))
        self.rebuilt = [np.asarray(x).astype(float) for x in rebuilt]
        border, middle = options.size // 16, options.size // 2
        self.halves = slice(None, middle - border), slice(middle + border, None)

    def one_style(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(len(self.contents)) for j in range(2)]

    def run(self, pairs: Any, params: StyleParams, **rest: Any) -> tuple[Any, float, int]:
        """Pictures of the pairs, seconds, UNet evaluations."""
        made: dict[int, np.ndarray] = {}

        def take(rows: Sequence[int], pixels: Tensor, finite: Tensor) -> None:
            made.update(zip(rows, pixels.cpu().numpy().astype(float), strict=True))

        before, began = self.pipe.unet_evaluations, time.perf_counter()
        self.pipe.stylize(self.contents, self.styles, pairs, params, take, **rest)
        took = time.perf_counter() - began
        return [made[i] for i in range(len(made))], took, self.pipe.unet_evaluations - before

    def compared(self, made: list[np.ndarray], plain: list[np.ndarray]) -> dict[str, float | None]:
        left, right = (_columns(made, half) for half in self.halves)
        sources = [_columns(self.sources, half) for half in self.halves]
        rebuilt = [_columns(self.rebuilt, half) for half in self.halves]
        plain_right = _columns(plain, self.halves[1])
        return {
            "left to rebuilt": _mean(_psnr, left, rebuilt[0]),
            "right to rebuilt": _mean(_psnr, right, rebuilt[1]),
            "right to plain": None if made is plain else _mean(_psnr, right, plain_right),
            "edges, left": _mean(_edge_psnr, left, sources[0]),
            "edges, right": _mean(_edge_psnr, right, sources[1]),
        }


def _columns(pictures: list[np.ndarray], part: slice) -> list[np.ndarray]:
    return [picture[:, part] for picture in pictures]


def _pictures(folder: str | Path, size: tuple[int, int]) -> list[Image.Image]:
    files = sorted(x for x in Path(folder).rglob("*") if x.suffix.lower() in _SUFFIXES)
    return [Image.open(x).convert("RGB").resize(size) for x in files]


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-6, ((a - b) ** 2).mean())))


def _edge_psnr(made: np.ndarray, source: np.ndarray) -> float:
    """PSNR at the source's edges, brought to its mean and spread there: a style may change light
    and contrast."""
    a, b = (x @ (0.299, 0.587, 0.114) for x in (made, source))
    down, across = np.gradient(b)
    strength = np.hypot(down, across)
    edges = strength >= np.quantile(strength, 0.9)
    a = (a - a[edges].mean()) / max(a[edges].std(), 1e-6) * b[edges].std() + b[edges].mean()
    return _psnr(a[edges], b[edges])


def _mean(
    measure: Callable[[np.ndarray, np.ndarray], float],
    made: list[np.ndarray],
    others: list[np.ndarray],
) -> float:
    """Over the made pictures; of contents, each stands for as many of them."""
    each = len(made) // len(others)
    return float(np.mean([measure(x, others[at // each]) for at, x in enumerate(made)]))
