"""The page of an analysis: one HTML file with the figures inside."""

from collections.abc import Mapping, Sequence
from typing import Any

from styleid_ray.analysis.ablations import Variant
from styleid_ray.analysis.make import Measures
from styleid_ray.analysis.options import FIGURES
from styleid_ray.analysis.record import Record
from styleid_ray.quality.columns import MEASURES
from styleid_ray.webpage import data_uri, render

_TITLES = {
    "queries": "Queries of content and result",
    "patch": "Where a patch looks in the style",
    "logits": "Spread of the attention logits",
    "colours": "Colours with and without AdaIN of the initial latents",
    "ablations": "Ablations",
}
_TEXTS = {
    "queries": "Principal components of the content's queries as red, green and blue (as in Fig. 2 "
    "of the paper), and the result's own queries along the same axes, before they are blended. "
    "The first number is the share of the variance that the three components hold, the second the "
    "mean cosine between both queries of a position.",
    "patch": "The content's query at the marked patch against all keys of the style: the logits "
    "before softmax, averaged over heads, and the attention that follows from them with the "
    "temperature, in multiples of even attention. Each panel has a scale of its own.",
    "logits": "Standard deviation of a query's logits over the keys, averaged over queries and "
    "heads (after Fig. 4 of the paper). Self-attention without injection is that of a run of its "
    "own; the other three belong to the same latents: their own queries and keys, then the blended "
    "queries with the style's keys, then these times the temperature. A lower deviation means "
    "flatter attention.",
    "colours": "Histograms in RGB and CIE L*a*b* (as in Fig. 5 of the paper). ΔLab is the mean "
    "Wasserstein distance of L*, a* and b* from the style's: 0 for the same colours.",
    "ablations": "The same pair with one part of the method switched off at a time.",
}


def render_page(
    figures: Mapping[str, bytes],
    record: Record,
    variants: Sequence[Variant],
    measures: Mapping[str, Measures],
    **lines: Any,
) -> str:
    """The page as text, with PNG files by the names in `FIGURES`.

    `lines` are the texts `content`, `style`, `patch`, `command` and `summary`, and
    `demo`: whether the model is the embedded one.
    """
    tables = {"logits": _logits(record), "ablations": _ablations(variants, measures)}
    parts = [
        {
            "title": _TITLES[name],
            "text": _TEXTS[name],
            "image": data_uri(figures[name], "png"),
            "table": tables.get(name),
        }
        for name in FIGURES
    ]
    return render("styleid_ray.analysis", "page.html.j2", ["page.css"], figures=parts, **lines)


def _logits(record: Record) -> list[list[str]]:
    """Means over steps by layer, and over all."""
    names = {
        "plain": "without injection",
        "own": "same latents",
        "injected": "injection",
        "tempered": "with τ",
    }
    rows = [["layer", *names.values(), "injection / without", "with τ / without"]]
    spreads = record.spreads
    layers = sorted({spread.layer for spread in spreads})
    for layer in (*layers, None):
        own = [x for x in spreads if layer in (None, x.layer)]
        values = [sum(getattr(x, name) for x in own) / len(own) for name in names]
        ratios = [value / values[0] if values[0] else 0.0 for value in values[2:]]
        label = "all" if layer is None else str(layer)
        rows.append([label, *(f"{x:.3g}" for x in values), *(f"{x:.2f}" for x in ratios)])
    return rows


def _ablations(variants: Sequence[Variant], measures: Mapping[str, Measures]) -> list[list[str]]:
    head = ["", *(f"{name}: {text}" for name, text in MEASURES.items())]
    return [
        head,
        *([x.label, *(_number(measures[x.name][name]) for name in MEASURES)] for x in variants),
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
