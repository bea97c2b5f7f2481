"""Figures of pictures: their colours, and the ablations side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from styleid_ray.analysis.ablations import FULL, Variant
from styleid_ray.analysis.colours import BINS, CHANNELS, LAB, Colours
from styleid_ray.analysis.figures import bare, new_figure, show
from styleid_ray.analysis.make import Measures

_RGB = {"R": "#c0392b", "G": "#2e8b57", "B": "#2c5aa0"}
_ROWS = {FULL: "full, with AdaIN"}
_SHOWN = ("color", "edges", "structure")
"""Measures below a picture."""


def draw_colours(pictures: Mapping[str, Image.Image], colours: Mapping[str, Colours]) -> Figure:
    """One row per picture, "style" among them: its histograms in RGB and L*a*b* over the style's
    in grey, and the distance to the style's colours."""
    title = "Colours with and without AdaIN of the initial latents"
    figure = new_figure(12, 0.5 + 1.75 * len(pictures), title)
    axes = figure.subplots(len(pictures), 5, squeeze=False, width_ratios=(1, 1.3, 1, 1, 1))
    for row, (name, picture) in zip(axes, pictures.items(), strict=True):
        own, style = colours[name], colours["style"]
        row[0].imshow(np.asarray(picture))
        bare(row[0])
        row[0].set_ylabel(_ROWS.get(name, name), fontsize=9)
        distance = own.distance(style)
        row[0].set_xlabel("" if name == "style" else f"ΔLab to style {distance:.1f}", fontsize=8)
        for channel, colour in _RGB.items():
            _plot(row[1], own, channel, color=colour, lw=1.1, label=channel)
        for ax, channel in zip(row[2:], LAB, strict=True):
            ax.fill_between(_middles(channel), style.histogram(channel), color="#d9d9d9", lw=0)
            _plot(ax, own, channel, color="#222222", lw=1.1)
        for ax in row[1:]:
            ax.set_yticks([])
            ax.set_ylim(bottom=0)
            ax.margins(x=0)
            ax.tick_params(labelsize=7)
            ax.spines[["top", "right"]].set_visible(False)
    for ax, title in zip(axes[0, 1:], ("RGB", *LAB), strict=True):
        behind = "" if title == "RGB" else " (grey: style)"
        ax.set_title(f"{title}{behind}", fontsize=9)
    axes[0, 1].legend(fontsize=7, frameon=False, handlelength=1)
    for ax in axes[-1, 1:]:
        ax.set_xlabel("value", fontsize=8)
    for ax in axes[:, 1]:
        ax.set_ylabel("share of pixels", fontsize=7)
    return figure


def draw_ablations(
    pictures: Mapping[str, Image.Image],
    variants: Sequence[Variant],
    measures: Mapping[str, Measures],
) -> Figure:
    """Content, style and each variant in a row, with its measures below."""
    aspect = pictures["content"].height / pictures["content"].width
    cell = max(1.75, 2.1 / max(1.0, aspect) ** 0.5)
    figure = new_figure(
        cell * len(pictures),
        cell * max(0.6, aspect) + 1.05,
        "The method without one of its parts at a time",
    )
    # The changed values stand on a line of their own.
    labels = {x.name: x.label.replace(" (", "\n(", 1) for x in variants}
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    for ax, (name, picture) in zip(axes, pictures.items(), strict=True):
        show(ax, picture, labels.get(name, name))
        if name in measures:
            ax.set_xlabel(_lines(measures[name]), fontsize=8)
    return figure


def _lines(measures: Measures) -> str:
    values = ((name, measures[name]) for name in _SHOWN)
    return "\n".join(f"{name} {'–' if x is None else f'{x:.2f}'}" for name, x in values)


def _plot(ax: Any, colours: Colours, channel: str, **look: Any) -> None:
    ax.plot(_middles(channel), colours.histogram(channel), **look)


def _middles(channel: str) -> np.ndarray:
    low, high = CHANNELS[channel]
    return low + (np.arange(BINS) + 0.5) * (high - low) / BINS
