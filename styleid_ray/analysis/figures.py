"""Figures of attention features, drawn by matplotlib without a window or global state."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from styleid_ray.analysis.record import LogitDeviation, PatchMap, QueryMap

DPI = 130
_SERIES = (
    ("plain", "self-attention, without injection", "#4a4a4a", "-"),
    ("own", "self-attention of the same latents", "#9a9a9a", ":"),
    ("injected", "injection, τ = 1", "#c2571a", "-"),
    ("tempered", "injection with temperature", "#1f6f8b", "--"),
)
_SMALL: dict[str, Any] = {"fontsize": 6, "labelpad": 2}
_FULL = 0.98
"""Quantile of a query map's values that is drawn at full intensity; the quantile 1 − 0.98 is 0."""


def png(figure: Figure) -> bytes:
    """A figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def draw_queries(maps: Sequence[QueryMap]) -> Figure:
    """Query maps: one row per layer, and one pair of columns, content and result, per step."""
    layers, steps = (sorted({getattr(x, name) for x in maps}) for name in ("layer", "step"))
    height, width = maps[0].content.shape[:2]
    cell = 1.25
    figure = new_figure(
        max(7.0, 0.8 + 2 * len(steps) * cell * min(1.6, max(0.8, width / height))),
        0.9 + len(layers) * cell * min(1.6, max(0.8, height / width)),
        "Queries by layer and sampling step, as colours along the content's 3 principal components",
    )
    axes = figure.subplots(len(layers), 2 * len(steps), squeeze=False)
    for x in maps:
        row, column = layers.index(x.layer), 2 * steps.index(x.step)
        for side, (name, values) in enumerate(zip(("content", "result"), _colours(x), strict=True)):
            ax = axes[row, column + side]
            ax.imshow(values, interpolation="nearest")
            bare(ax)
            if row == 0:
                ax.set_title(f"{name}\nstep {x.step}, t = {x.timestep}", fontsize=8)
            if column + side == 0:
                rows, columns = values.shape[:2]
                ax.set_ylabel(f"layer {x.layer}\n{rows} × {columns}", fontsize=8)
        share = 100 * x.explained.sum().item()
        axes[row, column].set_xlabel(f"{share:.0f} % of variance", **_SMALL)
        axes[row, column + 1].set_xlabel(f"cosine {x.cosine:.2f}", **_SMALL)
    return figure


def draw_patch(maps: Sequence[PatchMap], content: Image.Image, style: Image.Image) -> Figure:
    """The patch in the content, and per layer the logits of its query with the style's keys and
    the attention that follows, over the style."""
    aspect = style.height / style.width
    cell = 1.9 / max(1.0, aspect) ** 0.5
    figure = new_figure(
        max(7.0, 0.5 + (1 + len(maps)) * cell),
        1.0 + 2 * (cell * aspect + 0.45),
        f"Where the content's query at the patch looks in the style: sampling step {maps[0].step}, "
        f"t = {maps[0].timestep}",
    )
    axes = figure.subplots(2, 1 + len(maps), squeeze=False)
    show(axes[0, 0], content, "content, with the patch")
    _mark(axes[0, 0], maps[-1], content)
    show(axes[1, 0], style, "style")
    for column, x in enumerate(maps, 1):
        even = x.attention * x.attention.numel()
        size = " × ".join(map(str, x.logits.shape))
        rows = (
            (x.logits, "viridis", f"layer {x.layer}, {size}\nQ·Kᵀ / √d"),
            (even, "inferno", "attention, times the mean"),
        )
        for row, (values, colours, title) in enumerate(rows):
            ax = axes[row, column]
            extent = (0, style.width, style.height, 0)
            image = ax.imshow(values.numpy(), cmap=colours, extent=extent, interpolation="nearest")
            ax.set_title(title, fontsize=8)
            bare(ax)
            below = ax.inset_axes((0.05, -0.1, 0.9, 0.05))
            bar = figure.colorbar(image, cax=below, orientation="horizontal")
            bar.ax.tick_params(labelsize=6)
            bar.ax.locator_params(nbins=4)
    return figure


def draw_logits(spreads: Sequence[LogitDeviation]) -> Figure:
    """Deviation of the attention logits: by sampling step, averaged over layers, and by layer,
    averaged over steps."""
    steps, layers = (sorted({getattr(x, name) for x in spreads}) for name in ("step", "layer"))
    figure = new_figure(10, 4.2, "Standard deviation of the attention logits before softmax")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for number, (name, label, colour, dash) in enumerate(_SERIES):
        values = _means(spreads, name, "step", steps)
        marker = "o" if len(steps) == 1 else None
        left.plot(steps, values, dash, marker=marker, color=colour, label=label)
        places = np.arange(len(layers)) + 0.2 * (number - 1.5)
        right.bar(places, _means(spreads, name, "layer", layers), 0.18, color=colour, label=label)
    left.set_title("by step, mean of all layers", fontsize=10)
    left.set_xlabel("sampling step (noise to picture)")
    left.set_ylabel("standard deviation over keys")
    right.set_title("by layer, mean of all steps", fontsize=10)
    right.set_xlabel("layer")
    right.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    for ax in (left, right):
        ax.set_ylim(bottom=0)
        ax.grid(axis="y", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    if len(steps) > 1:
        left.locator_params(axis="x", integer=True)
    else:
        left.set_xticks(steps)
    left.legend(frameon=False, fontsize=9)
    return figure


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure; sides in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def bare(ax: Any) -> None:
    """Removes the ticks of both axes."""
    ax.set_xticks([])
    ax.set_yticks([])


def show(ax: Any, picture: Image.Image, title: str) -> None:
    """Shows a picture below its title."""
    ax.imshow(np.asarray(picture))
    ax.set_title(title, fontsize=8)
    bare(ax)


def _mark(ax: Any, x: PatchMap, content: Image.Image) -> None:
    """Frames the token in the content, red on white to stand out from any colour."""
    height, width = content.height / x.grid[0], content.width / x.grid[1]
    row, column = x.token
    for colour, line in (("white", 3.5), ("#d11", 1.5)):
        ax.add_patch(
            Rectangle((column * width, row * height), width, height, fill=False, ec=colour, lw=line)
        )


def _colours(x: QueryMap) -> list[np.ndarray]:
    """Content and result in [0, 1], scaled per component by quantiles of both together."""
    values = torch.cat([x.content.flatten(0, 1), x.result.flatten(0, 1)])
    low, high = values.quantile(torch.tensor([1 - _FULL, _FULL]), 0)
    span = (high - low).clamp_min(1e-12)
    return [((values - low) / span).clamp(0, 1).numpy() for values in (x.content, x.result)]


def _means(
    spreads: Sequence[LogitDeviation], name: str, by: str, keys: Sequence[int]
) -> list[float]:
    return [
        float(np.mean([getattr(x, name) for x in spreads if getattr(x, by) == key])) for key in keys
    ]
