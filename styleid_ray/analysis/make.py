"""The pictures and the record of an analysis, made by a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from styleid_ray.analysis.ablations import FULL, WITHOUT_INJECTION, Variant
from styleid_ray.analysis.quality import Measures, measures
from styleid_ray.analysis.record import Record
from styleid_ray.analysis.watch import watched
from styleid_ray.engine.pipeline import StyleIDPipeline


@dataclass(frozen=True)
class Analysis:
    """Results of an analysis."""

    record: Record
    """Record of the full method, and of self-attention without injection."""
    pictures: dict[str, Image.Image]
    """By the names of the variants."""
    measures: dict[str, Measures]
    """Likewise."""


def analyze_pair(
    pipe: StyleIDPipeline,
    content: Image.Image,
    style: Image.Image,
    variants: Sequence[Variant],
    patch: tuple[float, float] = (0.5, 0.5),
    count: Callable[[bool], None] = lambda good: None,
) -> Analysis:
    """Makes a pair once per variant, and watches the full method and that without injection.

    Args:
        pipe: the pipeline, not compiled.
        content, style: RGB pictures whose sides are multiples of `pipe.factor`.
        variants: as of `ablations.ablations`, the full method first.
        patch: point of the content, fractions (x, y).
        count: called with True for each picture that is made.

    Raises:
        RowError: the model's values are not finite.
    """
    z_c, z_s = (pipe.encode([picture]) for picture in (content, style))
    sizes = [(z[0].shape[1], z[0].shape[2]) for z in (z_c, z_s)]
    params = variants[0].params.resolved()
    record, pictures, measured = Record(params.sampling_evaluations, patch, *sizes), {}, {}
    watches = {FULL: record.full, WITHOUT_INJECTION: record.plain}
    try:
        for variant in variants:
            watch = watches.get(variant.name)
            with watched(pipe, params.layers, watch) if watch else nullcontext():
                latents, structure = _transfer(pipe, z_c, z_s, variant)
            (picture,) = pipe.decode(latents)
            pictures[variant.name] = picture
            measured[variant.name] = measures(picture, content, style, structure)
            count(True)
    finally:
        pipe.memory.clear()
    return Analysis(record, pictures, measured)


def _transfer(
    pipe: StyleIDPipeline, z_c: Sequence[Tensor], z_s: Sequence[Tensor], variant: Variant
) -> tuple[Sequence[Tensor], float | None]:
    """The latent of a variant, and how much of the content's structure it keeps (None without
    injection, where the content's queries are not kept)."""
    kept: list[float] = []

    def take(pairs: Sequence[int], values: Tensor) -> None:
        kept.extend(values.tolist())

    latents = pipe.transfer_latents(
        z_c,
        z_s,
        [(0, 0)],
        variant.params,
        keys=(["content"], ["style"]),
        structure=take,
    )
    return latents, kept[0] if kept else None
