"""The pictures, measures and record of an analysis, made by a pipeline."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from styleid_ray.analysis.ablations import FULL, WITHOUT_INJECTION, Variant
from styleid_ray.analysis.record import Record
from styleid_ray.analysis.watch import watched
from styleid_ray.engine.pictures import to_pixels
from styleid_ray.engine.pipeline import StyleIDPipeline
from styleid_ray.quality.columns import PIXEL_MEASURES
from styleid_ray.quality.pixels import measure, palette, small

Measures = Mapping[str, float | None]
"""Quality measures of a picture by name, `structure` first; None where a measure has no value."""


@dataclass(frozen=True)
class Analysis:
    """Results of an analysis."""

    record: Record
    """Features of the full method, and of self-attention without injection."""
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    """By the names of the variants."""
    measures: dict[str, Measures] = field(default_factory=dict)
    """By the names of the variants."""


def analyze_pair(
    pipe: StyleIDPipeline,
    content: Image.Image,
    style: Image.Image,
    variants: Sequence[Variant],
    patch: tuple[float, float],
) -> Analysis:
    """Makes a pair once per variant; records the full method and the variant without injection.

    Args:
        pipe: not compiled.
        content, style: RGB pictures whose sides are multiples of `pipe.factor`.
        variants: from `ablations.ablations`, the full method first.
        patch: point of the content, fractions (x, y).

    Raises:
        RowError: the model's values are not finite.
    """
    z_c, z_s = (pipe.encode([picture]) for picture in (content, style))
    sizes = [(z[0].shape[1], z[0].shape[2]) for z in (z_c, z_s)]
    params = variants[0].params.resolved()
    analysis = Analysis(record := Record(params.sampling_evaluations, patch, *sizes))
    watches = {FULL: record.full, WITHOUT_INJECTION: record.plain}
    try:
        for variant in variants:
            watch = watches.get(variant.name)
            with watched(pipe, params.layers, watch) if watch else nullcontext():
                latents, structure = _transfer(pipe, z_c, z_s, variant)
            (picture,) = pipe.decode(latents)
            analysis.pictures[variant.name] = picture
            analysis.measures[variant.name] = _measures(picture, content, style, structure)
    finally:
        pipe.memory.clear()
    return analysis


def _transfer(
    pipe: StyleIDPipeline, z_c: Sequence[Tensor], z_s: Sequence[Tensor], variant: Variant
) -> tuple[Sequence[Tensor], float | None]:
    """The latent of a variant, and the share of the content's structure that it keeps; None without
    injection, where the content's queries are not stored."""
    kept: list[float] = []
    latents = pipe.transfer_latents(
        z_c,
        z_s,
        [(0, 0)],
        variant.params,
        keys=(["content"], ["style"]),
        structure=lambda pairs, values: kept.extend(values.tolist()),
    )
    return latents, kept[0] if kept else None


def _measures(
    result: Image.Image, content: Image.Image, style: Image.Image, structure: float | None
) -> Measures:
    """Measures of an RGB result of its content's size."""
    x, c, s = (to_pixels(picture)[None] for picture in (result, content, style))
    with torch.no_grad():
        values = measure(x, c, list(palette(small(s))))[0].tolist()
    named = {"structure": structure, **dict(zip(PIXEL_MEASURES, values, strict=True))}
    return {
        name: None if value is None or math.isnan(value) else value for name, value in named.items()
    }
