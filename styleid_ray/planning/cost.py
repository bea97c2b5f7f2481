"""Cost of a plan in UNet evaluations: one forward of the UNet for one latent."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from styleid_ray.config import ResolvedParams
from styleid_ray.planning.columns import all_styles, codes, count_distinct, distinct, further_styles


@dataclass(frozen=True)
class Cost:
    """Counts of a plan."""

    pairs: int
    shards: int
    contents: int
    """Distinct content pictures."""
    styles: int
    """Distinct style pictures."""
    content_inversions: int
    """Inversions of contents, one per shard and content."""
    style_inversions: int
    """Inversions of styles, one per shard and style."""
    unet_evaluations: int
    naive_unet_evaluations: int
    """Cost pair by pair, with pictures inverted again for each pair."""
    floor_unet_evaluations: int
    """Cost with each picture inverted once in the whole plan: no plan costs less."""


def estimate(plan_table: pa.Table, params: ResolvedParams | None, windows: int = 1) -> Cost:
    """The cost of a plan.

    Args:
        plan_table: columns content, style and shard, and columns of further styles.
        params: of the job; a style without any part in the result (`uses_style` is False) is not
            inverted. None for a method without a UNet.
        windows: number in which the UNet sees a content; a style is seen whole.
    """
    shard, content = (codes(plan_table[name]) for name in ("shard", "content"))
    rows, style = all_styles(plan_table, further_styles(plan_table.column_names))
    pairs = plan_table.num_rows
    contents, styles = count_distinct(content), count_distinct(style)
    if params is None:
        return Cost(pairs, count_distinct(shard), contents, styles, 0, 0, 0, 0, 0)
    content_inversions = count_distinct(shard, content)
    style_inversions = count_distinct(shard[rows], style) if params.uses_style else 0
    of_styles = styles if params.uses_style else 0
    invert, sample = params.inversion_evaluations, params.sampling_evaluations * windows
    of_pairs = len(rows) if params.uses_style else 0
    return Cost(
        pairs=pairs,
        shards=count_distinct(shard),
        contents=contents,
        styles=styles,
        content_inversions=content_inversions,
        style_inversions=style_inversions,
        unet_evaluations=(content_inversions * windows + style_inversions) * invert
        + pairs * sample,
        naive_unet_evaluations=(pairs * windows + of_pairs) * invert + pairs * sample,
        floor_unet_evaluations=(contents * windows + of_styles) * invert + pairs * sample,
    )


def shard_pictures(plan_table: pa.Table) -> np.ndarray:
    """Distinct contents, distinct styles and pairs of each shard, int64 [shards, 3]."""
    shard, content = (codes(plan_table[name]) for name in ("shard", "content"))
    styles = all_styles(plan_table, further_styles(plan_table.column_names))
    return picture_counts(shard.astype(np.int64), content, styles)


def picture_counts(
    shard: np.ndarray, content: np.ndarray, styles: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """`shard_pictures` of pairs [P] by the numbers of their shards, contents and `all_styles`."""
    counts = []
    for of, picture in ((shard, content), (shard[styles[0]], styles[1])):
        span = int(picture.max()) + 1
        counts.append(np.bincount(distinct(of * span + picture) // span))
    return np.stack([*counts, np.bincount(shard)], axis=1)
